// Package expr answers how much of a resource an expression of a resourcesPolicy asks for.
//
// An expression such as max(cpu*50%, 50m) is parsed once, when its SidecarSet changes, and evaluated for every
// Pod. Arithmetic is exact (fractions, no floating point); a result is rounded up to the next thousandth of a cpu
// or byte, as Kubernetes rounds quantities up.
//
//	sum      = product { ("+" | "-") product }
//	product  = operand { ("*" | "/") operand }
//	operand  = "(" sum ")" | ("max" | "min") "(" sum "," sum ")" | "cpu" | "memory" | number | number "%" | quantity
//	quantity = number suffix                     suffix: m k M G T P Ki Mi Gi Ti Pi
//	number   = digits [ "." [ digits ] ] | "." digits
//
// Names are case-insensitive, suffixes are not. Numbers have no unit; quantities and the variable do. What has a
// unit can be multiplied and divided by a number only, so every factor and divisor is a constant, and what is
// wrong with units is wrong whatever the Pod. Where a quantity is wanted, the number 2 means two cpus or two bytes.
//
// It knows nothing of Pods and SidecarSets. Start at Parse.
package expr

import (
	"errors"
	"fmt"
	"math/big"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Resource is what an expression is about; its name is the variable that the expression may use.
type Resource string

const (
	// CPU counts in cores and is rounded up to thousandths.
	CPU Resource = "cpu"
	// Memory counts in bytes and is rounded up to whole ones.
	Memory Resource = "memory"
)

// Expr is a parsed expression. It does not change and may be used concurrently.
type Expr struct {
	of   Resource
	root *node
}

// Parse reads an expression for a resource. Errors name the position, counted in characters from 1. An
// expression without a variable must not be negative.
func Parse(of Resource, text string) (Expr, error) {
	root, err := parse(of, text)
	if err != nil {
		return Expr{}, err
	}
	e := Expr{of, root}
	if e.Constant() {
		if _, err := e.Eval(nil); err != nil {
			return Expr{}, err
		}
	}
	return e, nil
}

// Resource is what the expression is about.
func (e Expr) Resource() Resource { return e.of }

// Constant tells that the expression uses no variable.
func (e Expr) Constant() bool { return e.root.value != nil }

// Eval returns the quantity for an amount of the resource, in cores or bytes, of which it may be nil for a
// constant. It fails for a negative result and one that Kubernetes cannot hold.
func (e Expr) Eval(amount *big.Rat) (resource.Quantity, error) {
	result := e.root.eval(amount)
	if result.Sign() < 0 && e.Constant() {
		return resource.Quantity{}, fmt.Errorf("the result %s is negative", shown(result))
	}
	if result.Sign() < 0 {
		return resource.Quantity{}, fmt.Errorf("the result for %s = %s is %s, which is negative", e.of, shown(amount), shown(result))
	}
	if e.of == CPU {
		result = new(big.Rat).Mul(result, big.NewRat(1000, 1))
	}
	units := ceil(result)
	if !units.IsInt64() {
		return resource.Quantity{}, errors.New("the result is larger than Kubernetes can hold")
	}
	if e.of == CPU {
		return *resource.NewMilliQuantity(units.Int64(), resource.DecimalSI), nil
	}
	return *resource.NewQuantity(units.Int64(), resource.BinarySI), nil
}

func ceil(r *big.Rat) *big.Int {
	whole, rest := new(big.Int).DivMod(r.Num(), r.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		whole.Add(whole, big.NewInt(1))
	}
	return whole
}

// shown prints a fraction for a message: -0.5 and not -0.500.
func shown(r *big.Rat) string {
	if r.IsInt() && r.Num().BitLen() < 64 {
		return r.Num().String()
	}
	f, _ := r.Float64() // only to be read by people
	return fmt.Sprintf("%.6g", f)
}

// node is one operation, or a value: constants are folded when they are parsed.
type node struct {
	// value is the node's, if it does not depend on the variable. It is never written to.
	value *big.Rat
	// unit tells a quantity from a plain number. A node without a value always has one.
	unit bool
	// op is + - * / M (max) m (min), or v for the variable.
	op          byte
	left, right *node
}

func (n *node) eval(variable *big.Rat) *big.Rat {
	if n.value != nil {
		return n.value
	}
	if n.op == 'v' {
		return variable
	}
	return apply(n.op, n.left.eval(variable), n.right.eval(variable))
}

// apply computes one operation. The divisor is not zero.
func apply(op byte, a, b *big.Rat) *big.Rat {
	switch op {
	case '+':
		return new(big.Rat).Add(a, b)
	case '-':
		return new(big.Rat).Sub(a, b)
	case '*':
		return new(big.Rat).Mul(a, b)
	case '/':
		return new(big.Rat).Quo(a, b)
	}
	if (a.Cmp(b) > 0) == (op == 'M') {
		return a
	}
	return b
}
