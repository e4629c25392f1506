package sidecarset

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/internal/plan/inject"
)

// nothingUnsupported refuses what the API has and this version does not do, rather than ignoring it.
func nothingUnsupported(s subject) field.ErrorList { return inject.Unsupported(s.set) }
