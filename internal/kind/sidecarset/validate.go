package sidecarset

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/inject"
	"github.com/outrigger-project/outrigger/internal/plan/scope"
	"github.com/outrigger-project/outrigger/internal/plan/wellformed"
)

// Other is another SidecarSet, with its compiled selectors.
type Other struct {
	Set   *v1beta1.SidecarSet
	Scope scope.Scope
}

// Validate lists everything that is wrong with a SidecarSet, given the one it replaces (nil at creation) and
// all SidecarSets there are (the set itself among them is skipped; those that it does not know of do not count).
// Every error names path, value and rule.
//
// Most of it the schema says too. It is said again here because the schema is not at hand where a manifest is
// read from a file, and because a SidecarSet that gets through makes every Pod that it matches fail.
func Validate(set, old *v1beta1.SidecarSet, others []Other) field.ErrorList {
	return validate(subject{set: set, old: old, others: others, spec: field.NewPath("spec")}, append(checks(), amongOthers()...))
}

// ValidateAlone is Validate for a new SidecarSet where the others are not known, as in a file.
func ValidateAlone(set *v1beta1.SidecarSet) field.ErrorList {
	return validate(subject{set: set, spec: field.NewPath("spec")}, checks())
}

func validate(s subject, checks []func(subject) field.ErrorList) field.ErrorList {
	var errs field.ErrorList
	for _, check := range checks {
		errs = append(errs, check(s)...)
	}
	if len(errs) == 0 {
		errs = canBeInjected(s)
	}
	return errs
}

// checks is the specification of one set, in the order of the fields.
func checks() []func(subject) field.ErrorList {
	return []func(subject) field.ErrorList{
		nameIsShort,
		canaryHasBase,
		canaryIsDecidedOnce,
		canaryUpdatesNothing,
		selectorIsThere,
		selectorsAreWellFormed,
		somethingIsInjected,
		namesAreUnique,
		eachContainer(containerIsNamed),
		eachContainer(imageIsGiven),
		eachContainer(enumsAreKnown),
		eachContainer(envIsWellFormed),
		eachContainer(portsAreValid),
		eachContainer(mountsAreUnique),
		eachContainer(mountsHaveVolumes),
		eachContainer(mountsAreValid),
		eachContainer(devicesAreBlocks),
		eachContainer(resourcesFit),
		eachContainer(resourcesPolicyIsValid),
		eachContainer(resizePolicyIsValid),
		eachContainer(securityIsValid),
		eachContainer(probesAreValid),
		eachContainer(restartPolicyIsAlways),
		eachContainer(lifecycleIsValid),
		eachContainer(hotUpgradeIsPossible),
		eachContainer(transferEnvIsWellFormed),
		hostPortsAreUnique,
		volumesAreValid,
		pullSecretsAreNamed,
		metadataIsValid,
		numbersAreValid,
		historyLimitIsValid,
		customVersionIsValid,
		revisionIsNamed,
		partitionOrSelector,
		priorityIsValid,
		scatterIsValid,
		upgradeTypeIsImmutable,
		nothingUnsupported,
	}
}

// amongOthers is the specification of a set among the others.
func amongOthers() []func(subject) field.ErrorList {
	return []func(subject) field.ErrorList{
		baseIsThere,
		baseIsNoCanary,
		noConflicts,
	}
}

type subject struct {
	set, old *v1beta1.SidecarSet
	others   []Other
	spec     *field.Path
}

// nameIsShort: the name becomes part of label values, which end at 63 characters.
func nameIsShort(s subject) field.ErrorList {
	name := s.set.Name
	if len(name) <= 63 && !strings.ContainsFunc(name, func(r rune) bool { return r != '-' && !isAlphanumeric(r) }) {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata", "name"), name, "must be letters, digits and '-', at most 63 characters")}
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

func selectorIsThere(s subject) field.ErrorList {
	if s.set.Spec.Selector == nil {
		return field.ErrorList{field.Required(s.spec.Child("selector"), "")}
	}
	return nil
}

func selectorsAreWellFormed(s subject) field.ErrorList {
	var errs field.ErrorList
	for _, one := range []struct {
		at       *field.Path
		selector *metav1.LabelSelector
	}{
		{s.spec.Child("selector"), s.set.Spec.Selector},
		{s.spec.Child("namespaceSelector"), s.set.Spec.NamespaceSelector},
		{s.spec.Child("updateStrategy", "selector"), s.set.Spec.UpdateStrategy.Selector},
	} {
		if one.selector != nil {
			errs = append(errs, wellformed.Selector(one.at, one.selector)...)
		}
	}
	return errs
}

func somethingIsInjected(s subject) field.ErrorList {
	if len(s.set.Spec.Containers)+len(s.set.Spec.InitContainers) == 0 {
		return field.ErrorList{field.Required(s.spec.Child("containers"), "at least one of containers and initContainers is required")}
	}
	return nil
}

// namesAreUnique: the containers of a Pod share one space of names.
func namesAreUnique(s subject) field.ErrorList {
	seen := map[string]bool{}
	return eachContainer(func(c container) field.ErrorList {
		var errs field.ErrorList
		for _, name := range namesInPod(c.SidecarContainer) {
			switch {
			case seen[name] && name == c.Name:
				errs = append(errs, field.Duplicate(c.at.Child("name"), name))
			case seen[name]:
				errs = append(errs, field.Invalid(c.at.Child("name"), c.Name, "becomes two containers (HotUpgrade), and "+name+" is the name of another"))
			}
			seen[name] = true
		}
		return errs
	})(s)
}

func numbersAreValid(s subject) field.ErrorList {
	strategy, at := s.set.Spec.UpdateStrategy, s.spec.Child("updateStrategy")
	return append(wellformed.Number(at.Child("partition"), strategy.Partition, 100), wellformed.Number(at.Child("maxUnavailable"), strategy.MaxUnavailable, 100)...)
}

func priorityIsValid(s subject) field.ErrorList {
	return wellformed.Priority(s.spec.Child("updateStrategy", "priorityStrategy"), s.set.Spec.UpdateStrategy.PriorityStrategy)
}

func scatterIsValid(s subject) field.ErrorList {
	return wellformed.Scatter(s.spec.Child("updateStrategy", "scatterStrategy"), s.set.Spec.UpdateStrategy.ScatterStrategy)
}

func partitionOrSelector(s subject) field.ErrorList {
	strategy := s.set.Spec.UpdateStrategy
	if strategy.Type == v1beta1.NotUpdate || strategy.Selector == nil || strategy.Partition == nil {
		return nil
	}
	if strings.Trim(strategy.Partition.String(), "0%") == "" {
		return nil
	}
	return field.ErrorList{field.Invalid(s.spec.Child("updateStrategy", "partition"), strategy.Partition.String(), "partition and selector exclude each other")}
}

// upgradeTypeIsImmutable: Pods that were injected one way cannot be upgraded the other. Containers may be
// added: Pods without them need to be created anew.
func upgradeTypeIsImmutable(s subject) field.ErrorList {
	if s.old == nil {
		return nil
	}
	before := slices.Concat(s.old.Spec.Containers, s.old.Spec.InitContainers)
	return eachContainer(func(c container) field.ErrorList {
		i := slices.IndexFunc(before, func(o v1beta1.SidecarContainer) bool { return o.Name == c.Name })
		if i < 0 || upgradeType(c.SidecarContainer) == upgradeType(&before[i]) {
			return nil
		}
		return field.ErrorList{field.Invalid(c.at.Child("upgradeStrategy", "upgradeType"), upgradeType(c.SidecarContainer), "upgradeStrategy.upgradeType is immutable")}
	})(s)
}

func upgradeType(c *v1beta1.SidecarContainer) v1beta1.UpgradeType {
	if c.UpgradeStrategy.UpgradeType == "" {
		return v1beta1.ColdUpgrade
	}
	return c.UpgradeStrategy.UpgradeType
}

// canBeInjected asks injection itself.
func canBeInjected(s subject) field.ErrorList {
	if _, err := inject.Prepare(s.set); err != nil {
		return field.ErrorList{field.Invalid(s.spec, s.set.Name, err.Error())}
	}
	return nil
}
