package expr

import (
	"fmt"
	"math/big"
	"strings"
)

const (
	// maxLength and maxDepth bound what a single expression costs, per SidecarSet and per Pod.
	maxLength = 1024
	maxDepth  = 32
	// maxDigits of a number: more than any quantity of Kubernetes has.
	maxDigits = 24
)

// parser reads from left to right; every method reads what it is named after.
type parser struct {
	of    Resource
	text  string
	at    int
	depth int
}

func parse(of Resource, text string) (*node, error) {
	if len(text) > maxLength {
		return nil, fmt.Errorf("must not be longer than %d characters", maxLength)
	}
	p := &parser{of: of, text: text}
	root, err := p.sum()
	if err != nil {
		return nil, err
	}
	if p.peek(); p.at < len(p.text) {
		return nil, p.expected("an operator")
	}
	return root, nil
}

func (p *parser) sum() (*node, error) { return p.chain("+-", p.product) }

func (p *parser) product() (*node, error) { return p.chain("*/", p.operand) }

// chain reads operands with operators between them, which bind to the left.
func (p *parser) chain(operators string, operand func() (*node, error)) (*node, error) {
	left, err := operand()
	for err == nil {
		op, at := p.peek(), p.at
		if strings.IndexByte(operators, op) < 0 {
			return left, nil
		}
		p.at++
		var right *node
		if right, err = operand(); err == nil {
			left, err = p.join(op, at, left, right)
		}
	}
	return nil, err
}

// join makes one node of two, or says why they do not go together.
func (p *parser) join(op byte, at int, left, right *node) (*node, error) {
	switch {
	case op == '*' && left.unit && right.unit:
		return nil, p.errorAt(at, "a quantity cannot be multiplied by a quantity, only by a number such as 2 or 50%%")
	case op == '/' && right.unit:
		return nil, p.errorAt(at, "nothing can be divided by a quantity, only by a number")
	case op == '/' && right.value.Sign() == 0:
		return nil, p.errorAt(at, "division by zero")
	}
	n := &node{op: op, unit: left.unit || right.unit, left: left, right: right}
	if left.value != nil && right.value != nil {
		return &node{value: apply(op, left.value, right.value), unit: n.unit}, nil
	}
	return n, nil
}

func (p *parser) operand() (*node, error) {
	switch b := p.peek(); {
	case b == '(':
		return p.nested(p.sum, "")
	case isDigit(b) || b == '.':
		return p.number()
	case isLetter(b):
		return p.name()
	}
	return nil, p.expected("a number, a quantity, " + string(p.of) + ", max, min or (")
}

// nested reads "(", what inside reads, and ")".
func (p *parser) nested(inside func() (*node, error), function string) (*node, error) {
	at := p.at
	if p.peek() != '(' {
		return nil, p.expected("( after " + function)
	}
	p.at++
	if p.depth++; p.depth > maxDepth {
		return nil, p.errorAt(at, "is nested more than %d deep", maxDepth)
	}
	n, err := inside()
	if err != nil {
		return nil, err
	}
	if p.peek() != ')' {
		return nil, p.expected(")")
	}
	p.at++
	p.depth--
	return n, nil
}

// name reads the variable, or max or min with two operands.
func (p *parser) name() (*node, error) {
	p.peek()
	at := p.at
	word := p.while(isLetter)
	switch name := strings.ToLower(word); name {
	case string(p.of):
		return &node{op: 'v', unit: true}, nil
	case string(CPU), string(Memory):
		return nil, p.errorAt(at, "%s cannot be used in an expression for %s", name, p.of)
	case "max":
		return p.nested(func() (*node, error) { return p.two('M', at) }, name)
	case "min":
		return p.nested(func() (*node, error) { return p.two('m', at) }, name)
	}
	return nil, p.errorAt(at, "%q is unknown: there are %s, max and min", word, p.of)
}

// two reads the operands of max and min.
func (p *parser) two(op byte, at int) (*node, error) {
	left, err := p.sum()
	if err != nil {
		return nil, err
	}
	if p.peek() != ',' {
		return nil, p.expected(", and a second operand")
	}
	p.at++
	right, err := p.sum()
	if err != nil {
		return nil, err
	}
	return p.join(op, at, left, right)
}

// number reads a number, and the % or suffix that follows it without a blank.
func (p *parser) number() (*node, error) {
	at := p.at
	digits := p.while(func(b byte) bool { return isDigit(b) || b == '.' })
	if strings.Count(digits, ".") > 1 || digits == "." {
		return nil, p.errorAt(at, "%q is no number", digits)
	}
	if len(digits) > maxDigits {
		return nil, p.errorAt(at, "a number must not have more than %d digits", maxDigits)
	}
	value, ok := new(big.Rat).SetString(digits)
	if !ok {
		return nil, p.errorAt(at, "%q is no number", digits)
	}
	suffixAt := p.at
	suffix := p.while(isLetter)
	if suffix == "" && p.at < len(p.text) && p.text[p.at] == '%' {
		p.at++
		return &node{value: value.Quo(value, big.NewRat(100, 1))}, nil
	}
	if suffix == "" {
		return &node{value: value}, nil
	}
	factor := factorOf(suffix)
	if factor == nil {
		return nil, p.errorAt(suffixAt, "%q is no suffix: there are m, k, M, G, T, P, Ki, Mi, Gi, Ti and Pi", suffix)
	}
	return &node{value: value.Mul(value, factor), unit: true}, nil
}

// factorOf returns what a quantity's suffix stands for, nil if it stands for nothing.
func factorOf(suffix string) *big.Rat {
	if suffix == "m" {
		return big.NewRat(1, 1000)
	}
	powers, base := "kMGTP", int64(1000)
	if letter, binary := strings.CutSuffix(suffix, "i"); binary {
		powers, base, suffix = "KMGTP", 1024, letter
	}
	power := strings.Index(powers, suffix)
	if len(suffix) != 1 || power < 0 {
		return nil
	}
	factor := base
	for range power {
		factor *= base
	}
	return big.NewRat(factor, 1)
}

// peek skips blanks and returns the next byte, 0 at the end.
func (p *parser) peek() byte {
	for p.at < len(p.text) && (p.text[p.at] == ' ' || p.text[p.at] == '\t') {
		p.at++
	}
	if p.at == len(p.text) {
		return 0
	}
	return p.text[p.at]
}

// while reads as long as the bytes are of a kind.
func (p *parser) while(kind func(byte) bool) string {
	from := p.at
	for p.at < len(p.text) && kind(p.text[p.at]) {
		p.at++
	}
	return p.text[from:p.at]
}

func (p *parser) expected(what string) error {
	if p.peek(); p.at == len(p.text) {
		return fmt.Errorf("at the end: expected %s", what)
	}
	rest := []rune(p.text[p.at:])
	return p.errorAt(p.at, "expected %s, got %q", what, rest[0])
}

func (p *parser) errorAt(at int, format string, args ...any) error {
	return fmt.Errorf("at character %d: %s", len([]rune(p.text[:at]))+1, fmt.Sprintf(format, args...))
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

func isLetter(b byte) bool { return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' }
