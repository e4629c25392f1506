package sidecarset

import (
	"fmt"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// given is what patchPodMetadata changes in a Pod that is updated.
func given(s *Set, p *Pod) []plan.AnnotationChange {
	var changes []plan.AnnotationChange
	for i := range s.Annotations {
		// An error is no change here; obstacle has held the Pod because of it.
		if change, some, err := s.Annotations[i].Change(p.Annotations); some && err == nil {
			changes = append(changes, change)
		}
	}
	return changes
}

// whyUnmergeable says which annotation of the Pod patchPodMetadata cannot merge into; it is empty when there is none.
//
// Such a Pod is held. To update it and leave the annotation alone would lose the merge for good: once the Pod has the
// newest version, nothing would come back to it when the annotation is mended.
func whyUnmergeable(s *Set, p *Pod) string {
	for i := range s.Annotations {
		if err := s.Annotations[i].CheckMerge(p.Annotations); err != nil {
			return fmt.Sprintf("annotation %s, which patchPodMetadata merges into (MergePatchJson), is %v; mend or remove it", s.Annotations[i].Key, err)
		}
	}
	return ""
}
