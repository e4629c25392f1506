package cloneset

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// nothingUnsupported refuses what the API has and this version does not do, rather than ignoring it. What is stored
// already, by OpenKruise, stays: everything else of that CloneSet can be changed.
func nothingUnsupported(s subject) field.ErrorList {
	var before map[string]bool
	if s.old != nil {
		before = preDownload(s.old)
	}
	now := preDownload(s.set)
	_, at := s.rolling()
	at = at.Child("inPlaceUpdateStrategy")
	var errs field.ErrorList
	for _, f := range preDownloadFields() {
		if now[f.name] && !before[f.name] {
			errs = append(errs, field.Forbidden(at.Child(f.name), "image pre-download is not supported yet (nor is the annotation "+f.annotation+")"))
		}
	}
	return errs
}

type preDownloadField struct{ name, annotation string }

func preDownloadFields() []preDownloadField {
	return []preDownloadField{
		{"imagePreDownloadParallelism", v1beta1.ImagePreDownloadParallelismAnnotation},
		{"imagePreDownloadTimeoutSeconds", v1beta1.ImagePreDownloadTimeoutSecondsAnnotation},
		{"imagePreDownloadMinUpdatedReadyPods", v1beta1.ImagePreDownloadMinUpdatedReadyPodsAnnotation},
	}
}

// preDownload tells which of the fields are set. Conversion leaves the annotations that are no numbers as they are.
func preDownload(set *v1beta1.CloneSet) map[string]bool {
	s := set.Spec.UpdateStrategy.RollingUpdate.InPlaceUpdateStrategy
	fields := []*int32{s.ImagePreDownloadParallelism, s.ImagePreDownloadTimeoutSeconds, s.ImagePreDownloadMinUpdatedReadyPods}
	asked := map[string]bool{}
	for i, f := range preDownloadFields() {
		_, annotated := set.Annotations[f.annotation]
		asked[f.name] = annotated || fields[i] != nil
	}
	return asked
}
