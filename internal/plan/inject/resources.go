package inject

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/inject/expr"
	"github.com/outrigger-project/outrigger/internal/plan/inject/jsonview"
)

// policy is a resourcesPolicy made ready: it computes a sidecar's resources from those of the Pod's containers.
type policy struct {
	targets          *regexp.Regexp
	max              bool
	limits, requests []expr.Expr
}

func preparePolicy(p *v1beta1.ResourcesPolicy, own *corev1.ResourceRequirements) (*policy, error) {
	if p == nil {
		return nil, nil
	}
	if len(own.Limits)+len(own.Requests)+len(own.Claims) > 0 {
		return nil, errors.New("resourcesPolicy: excludes resources")
	}
	ready := &policy{max: p.TargetContainersMode == v1beta1.TargetContainersModeMax}
	var err error
	if ready.targets, err = regexp.Compile(cmp.Or(p.TargetContainersNameRegex, v1beta1.EveryContainer)); err != nil {
		return nil, fmt.Errorf("resourcesPolicy.targetContainersNameRegex: %w", err)
	}
	if l := p.ResourcesExpr.Limits; l != nil {
		if ready.limits, err = expressions(l.CPU, l.Memory); err != nil {
			return nil, fmt.Errorf("resourcesPolicy.resourcesExpr.limits.%w", err)
		}
	}
	if r := p.ResourcesExpr.Requests; r != nil {
		if ready.requests, err = expressions(r.CPU, r.Memory); err != nil {
			return nil, fmt.Errorf("resourcesPolicy.resourcesExpr.requests.%w", err)
		}
	}
	return ready, nil
}

// expressions parses those that are given.
func expressions(cpu, memory string) ([]expr.Expr, error) {
	var all []expr.Expr
	for _, given := range []struct {
		of   expr.Resource
		text string
	}{{expr.CPU, cpu}, {expr.Memory, memory}} {
		if given.text == "" {
			continue
		}
		e, err := expr.Parse(given.of, given.text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", given.of, err)
		}
		all = append(all, e)
	}
	return all, nil
}

// target is a container whose resources count.
type target struct {
	name, at  string
	resources jsonview.Value
}

// compute evaluates the resourcesPolicy of every sidecar that has one. No other costs anything.
func (p *pod) compute(sets []*Set) error {
	var targets []target
	for _, s := range sets {
		for _, list := range [...][]container{s.initContainers, s.containers} {
			for i := range list {
				c := &list[i]
				if c.policy == nil {
					continue
				}
				if targets == nil {
					targets = p.targets(sets)
				}
				raw, err := c.policy.resources(targets)
				if err != nil {
					return fmt.Errorf("SidecarSet %s: cannot inject container %s: resourcesPolicy: %w", s.Name, c.name, err)
				}
				p.computed = append(p.computed, computed{c, raw})
			}
		}
	}
	return nil
}

// computed is what a sidecar's resourcesPolicy comes to in this Pod, as JSON.
type computed struct {
	of        *container
	resources []byte
}

func (p *pod) resourcesOf(c *container) []byte {
	for _, done := range p.computed {
		if done.of == c {
			return done.resources
		}
	}
	return []byte("{}")
}

// targets lists the containers that run as long as the Pod does, init containers that are native sidecars among
// them, and that no set brings.
func (p *pod) targets(sets []*Set) []target {
	all := []target{}
	add := func(list string, native bool) {
		i := -1
		for c := range p.spec.Get(list).Elements() {
			i++
			name := c.Get("name").Text()
			if native && !c.Get("restartPolicy").Is(string(corev1.ContainerRestartPolicyAlways)) || brought(name, sets) {
				continue
			}
			all = append(all, target{name, fmt.Sprintf("spec.%s[%d]", list, i), c.Get("resources")})
		}
	}
	add("containers", false)
	add("initContainers", true)
	return all
}

func brought(name string, sets []*Set) bool {
	for _, s := range sets {
		for _, list := range [...][]container{s.initContainers, s.containers} {
			for i := range list {
				if list[i].name == name {
					return true
				}
			}
		}
	}
	return false
}

// resources evaluates the expressions. A request is never larger than the limit beside it: Kubernetes would refuse
// the Pod, and whoever creates it cannot mend the SidecarSet.
func (p *policy) resources(all []target) ([]byte, error) {
	var targets []target
	for _, t := range all {
		if p.targets.MatchString(t.name) {
			targets = append(targets, t)
		}
	}
	if len(targets) == 0 {
		return nil, fmt.Errorf("targetContainersNameRegex %q matches no container of the pod", p.targets)
	}
	limits, err := p.evaluate("limits", p.limits, targets, target.limit)
	if err != nil {
		return nil, err
	}
	requests, err := p.evaluate("requests", p.requests, targets, target.request)
	if err != nil {
		return nil, err
	}
	for name, request := range requests {
		if limit, limited := limits[name]; limited && request.Cmp(limit) > 0 {
			requests[name] = limit
		}
	}
	return json.Marshal(corev1.ResourceRequirements{Limits: limits, Requests: requests})
}

// evaluate leaves out a resource of which one target may have as much as there is.
func (p *policy) evaluate(kind string, expressions []expr.Expr, targets []target, of func(target, expr.Resource) (*big.Rat, error)) (corev1.ResourceList, error) {
	list := corev1.ResourceList{}
	for _, e := range expressions {
		amount, err := p.aggregate(e.Resource(), targets, of)
		if err != nil {
			return nil, err
		}
		if amount == nil {
			continue
		}
		quantity, err := e.Eval(amount)
		if err != nil {
			return nil, fmt.Errorf("resourcesExpr.%s.%s: %w", kind, e.Resource(), err)
		}
		list[corev1.ResourceName(e.Resource())] = quantity
	}
	return list, nil
}

// aggregate is the sum or the largest of the targets' amounts, nil if one of them has no bound.
func (p *policy) aggregate(r expr.Resource, targets []target, of func(target, expr.Resource) (*big.Rat, error)) (*big.Rat, error) {
	total := new(big.Rat)
	for _, t := range targets {
		amount, err := of(t, r)
		if amount == nil || err != nil {
			return nil, err
		}
		switch {
		case !p.max:
			total.Add(total, amount)
		case amount.Cmp(total) > 0:
			total = amount
		}
	}
	return total, nil
}

// limit is nil if the container has none.
func (t target) limit(r expr.Resource) (*big.Rat, error) { return t.amount("limits", r) }

// request is the limit where only that is given, as the API server defaults it, and else 0.
func (t target) request(r expr.Resource) (*big.Rat, error) {
	for _, kind := range []string{"requests", "limits"} {
		if amount, err := t.amount(kind, r); amount != nil || err != nil {
			return amount, err
		}
	}
	return new(big.Rat), nil
}

func (t target) amount(kind string, r expr.Resource) (*big.Rat, error) {
	value := t.resources.Get(kind).Get(string(r))
	if !value.Present() {
		return nil, nil
	}
	text := string(value)
	if value.IsString() {
		text = value.Text()
	}
	quantity, err := resource.ParseQuantity(text)
	if err != nil {
		return nil, fmt.Errorf("%s.resources.%s.%s: %s: %w", t.at, kind, r, shortened(text), err)
	}
	amount, ok := new(big.Rat).SetString(quantity.AsDec().String())
	if !ok {
		return nil, fmt.Errorf("%s.resources.%s.%s: %s is no number", t.at, kind, r, shortened(text))
	}
	return amount, nil
}
