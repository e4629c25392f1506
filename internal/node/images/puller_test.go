package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/node/cri"
)

// fake is an API server with one NodeImage, and a container runtime.
type fake struct {
	mu      sync.Mutex
	ni      *v1beta1.NodeImage
	writes  int
	pulls   map[string]int
	now     int
	most    int
	takes   time.Duration
	wrong   func(image string, try int) error
	present map[string]bool
}

func newFake(tags ...v1beta1.ImageTagSpec) *fake {
	ni := &v1beta1.NodeImage{ObjectMeta: metav1.ObjectMeta{Name: "node", UID: "u", ResourceVersion: "1"}}
	ni.Spec.Images = map[string]v1beta1.NodeImageEntry{"registry.example/app": {Tags: tags}}
	ni.Status.FirstSyncStatus = &v1beta1.SyncStatus{Status: v1beta1.SyncStatusSucceeded}
	return &fake{ni: ni, pulls: map[string]int{}, present: map[string]bool{}, takes: time.Second}
}

func tag(name string, change ...func(*v1beta1.ImageTagSpec)) v1beta1.ImageTagSpec {
	t := v1beta1.ImageTagSpec{Tag: name, CreatedAt: &metav1.Time{Time: time.Now()}, PullPolicy: &v1beta1.ImageTagPullPolicy{
		TimeoutSeconds: ptr.To[int32](10), BackoffLimit: ptr.To[int32](2), TTLSecondsAfterFinished: ptr.To[int32](60),
	}}
	for _, c := range change {
		c(&t)
	}
	return t
}

func (f *fake) Pull(ctx context.Context, image string, _ *cri.Sandbox) (string, error) {
	f.mu.Lock()
	f.pulls[image]++
	try := f.pulls[image]
	f.now++
	f.most = max(f.most, f.now)
	f.mu.Unlock()
	defer func() { f.mu.Lock(); f.now--; f.mu.Unlock() }()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case <-time.After(f.takes):
	}
	if f.wrong != nil {
		if err := f.wrong(image, try); err != nil {
			return "", err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.present[image] = true
	return "sha256:1", nil
}

func (f *fake) Image(_ context.Context, image string) (string, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return "sha256:1", f.present[image], nil
}

func (f *fake) Get(context.Context, string) (*v1beta1.NodeImage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ni.DeepCopy(), nil
}

func (f *fake) PatchStatus(_ context.Context, name string, patch []byte) (*v1beta1.NodeImage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	now, err := f.apply(patch)
	if err != nil {
		return nil, apierrors.NewConflict(schema.GroupResource{Resource: "nodeimages"}, name, err)
	}
	return now, nil
}

func (f *fake) apply(patch []byte) (*v1beta1.NodeImage, error) {
	data, err := json.Marshal(f.ni)
	if err != nil {
		return nil, err
	}
	p, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return nil, err
	}
	if data, err = p.Apply(data); err != nil {
		return nil, err
	}
	now := &v1beta1.NodeImage{}
	if err := json.Unmarshal(data, now); err != nil {
		return nil, err
	}
	f.change(func(ni *v1beta1.NodeImage) { ni.Status = now.Status })
	return f.ni.DeepCopy(), nil
}

// change changes the NodeImage; the lock is held.
func (f *fake) change(change func(*v1beta1.NodeImage)) {
	f.ni = f.ni.DeepCopy()
	change(f.ni)
	version, _ := strconv.Atoi(f.ni.ResourceVersion)
	f.ni.ResourceVersion = strconv.Itoa(version + 1)
}

// run runs a Puller for a while.
func (f *fake) run(t *testing.T, workers int, during time.Duration) *Puller {
	t.Helper()
	p := New(f, f, workers, logr.Discard())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = p.Start(ctx) }()
	p.See(f.ni)
	time.Sleep(during)
	cancel()
	<-done
	return p
}

func (f *fake) told(name string) v1beta1.ImageTagStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.ni.Status.ImageStatuses["registry.example/app"].Tags {
		if s.Tag == name {
			return s
		}
	}
	return v1beta1.ImageTagStatus{}
}

// TestPuller_oneWritePerPull: what is quick is told of once, what is slow twice.
func TestPuller_oneWritePerPull(t *testing.T) {
	for takes, want := range map[time.Duration]int{time.Second: 1, 8 * time.Second: 2} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(tag("1"))
			f.takes = takes
			f.run(t, 0, time.Minute)
			s := f.told("1")
			if f.writes != want || s.Phase != v1beta1.ImagePhaseSucceeded || s.Progress != 100 || s.ImageID != "registry.example/app@sha256:1" || ptr.Deref(s.LastSucceededVersion, -1) != 0 {
				t.Errorf("%s: %d writes, want %d; %+v", takes, f.writes, want, s)
			}
			if f.ni.Status.Succeeded != 1 || f.ni.Status.Desired != 1 {
				t.Errorf("counts %+v", f.ni.Status)
			}
		})
	}
}

// TestPuller_triesAgain: 3 tries with 1 s and 2 s between them, then it has failed.
func TestPuller_triesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(tag("1"))
		f.wrong = func(_ string, try int) error { return fmt.Errorf("attempt %d", try) }
		began := time.Now()
		f.run(t, 0, time.Minute)
		s := f.told("1")
		if f.pulls["registry.example/app:1"] != 3 || s.Phase != v1beta1.ImagePhaseFailed || s.Message != "3 tries have failed, the last one: attempt 3" {
			t.Errorf("%d pulls, %+v", f.pulls["registry.example/app:1"], s)
		}
		if took := s.CompletionTime.Sub(began); took != 6*time.Second {
			t.Errorf("it took %s, want 3 pulls of 1 s and pauses of 1 s and 2 s", took)
		}
	})
}

func TestPuller_limits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(tag("slow", func(t *v1beta1.ImageTagSpec) { t.PullPolicy.BackoffLimit = new(int32) }),
			tag("late", func(t *v1beta1.ImageTagSpec) { t.PullPolicy.ActiveDeadlineSeconds = ptr.To[int64](5) }))
		f.takes = time.Hour
		f.run(t, 0, time.Minute)
		if s := f.told("slow"); s.Phase != v1beta1.ImagePhaseFailed || !strings.Contains(s.Message, "it was not pulled within timeoutSeconds (10s)") {
			t.Errorf("%+v", s)
		}
		if s := f.told("late"); s.Phase != v1beta1.ImagePhaseFailed || !strings.HasPrefix(s.Message, "pulling exceeds the activeDeadlineSeconds") {
			t.Errorf("%+v", s)
		}
	})
}

// TestPuller_fewAtATime: five images, two at a time, in the order in which they were asked for; four seconds in all.
func TestPuller_fewAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tags []v1beta1.ImageTagSpec
		for i := range 5 {
			tags = append(tags, tag(strconv.Itoa(i)))
		}
		f := newFake(tags...)
		f.run(t, 2, 2900*time.Millisecond)
		if f.most != 2 || f.told("4").Phase != "" || f.told("3").Phase != v1beta1.ImagePhaseSucceeded {
			t.Errorf("%d at a time, the fifth is %+v", f.most, f.told("4"))
		}
	})
}

// TestPuller_killed: what was finished is not repeated, what was not is taken up again.
func TestPuller_killed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(tag("1"))
		f.run(t, 0, 5*time.Second)
		f.change(func(ni *v1beta1.NodeImage) {
			ni.Spec.Images["registry.example/app"] = v1beta1.NodeImageEntry{Tags: []v1beta1.ImageTagSpec{tag("1"), tag("2")}}
		})
		f.run(t, 0, 500*time.Millisecond)
		f.run(t, 0, 5*time.Second)
		if f.pulls["registry.example/app:1"] != 1 || f.pulls["registry.example/app:2"] != 2 || f.told("2").Phase != v1beta1.ImagePhaseSucceeded {
			t.Errorf("pulls %v, %+v", f.pulls, f.told("2"))
		}
	})
}

// TestPuller_policies: what is there is not pulled unless it must be, and a later version is looked at anew.
func TestPuller_policies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(tag("1"), tag("always", func(t *v1beta1.ImageTagSpec) { t.ImagePullPolicy = v1beta1.PullAlways }))
		f.present["registry.example/app:1"], f.present["registry.example/app:always"] = true, true
		f.run(t, 0, 5*time.Second)
		if f.pulls["registry.example/app:1"] != 0 || f.pulls["registry.example/app:always"] != 1 {
			t.Errorf("pulls %v", f.pulls)
		}
		f.change(func(ni *v1beta1.NodeImage) { ni.Spec.Images["registry.example/app"].Tags[0].Version = 1 })
		f.run(t, 0, 5*time.Second)
		if s := f.told("1"); s.Version != 1 || s.Phase != v1beta1.ImagePhaseSucceeded || *s.LastSucceededVersion != 1 || f.pulls["registry.example/app:1"] != 0 {
			t.Errorf("%+v, pulls %v", s, f.pulls)
		}
	})
}

// TestPuller_givesUp what nobody asks for any more.
func TestPuller_givesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(tag("1"))
		f.takes = 8 * time.Second
		p := New(f, f, 0, logr.Discard())
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = p.Start(ctx) }()
		p.See(f.ni)
		time.Sleep(2 * time.Second)
		f.mu.Lock()
		f.change(func(ni *v1beta1.NodeImage) { ni.Spec.Images = nil })
		ni := f.ni
		f.mu.Unlock()
		p.See(ni)
		time.Sleep(time.Second)
		if f.now != 0 || f.present["registry.example/app:1"] {
			t.Error("it goes on pulling")
		}
		cancel()
		synctest.Wait()
	})
}

// TestPuller_othersWrite: a write that is refused is made again from what is there, and what the manager has ended stays so.
func TestPuller_othersWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(tag("1"), tag("2"))
		f.wrong = func(image string, _ int) error {
			if !strings.HasSuffix(image, ":1") {
				return nil
			}
			f.mu.Lock() // the manager says in the meantime that it has failed
			defer f.mu.Unlock()
			f.change(func(ni *v1beta1.NodeImage) {
				ni.Status.ImageStatuses = map[string]v1beta1.ImageStatus{"registry.example/app": {Tags: []v1beta1.ImageTagStatus{
					{Tag: "1", Phase: v1beta1.ImagePhaseFailed, Message: "the manager's", CompletionTime: &metav1.Time{Time: time.Now()}},
				}}}
			})
			return errors.New("too late")
		}
		f.run(t, 0, time.Minute)
		if one, two := f.told("1"), f.told("2"); one.Message != "the manager's" || two.Phase != v1beta1.ImagePhaseSucceeded {
			t.Errorf("%+v, %+v", one, two)
		}
	})
}

// TestPuller_wrongNames: the NodeImage is not believed: what is no name of an image is not handed to the runtime.
func TestPuller_wrongNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(tag("../../etc"))
		f.run(t, 0, 10*time.Second)
		if s := f.told("../../etc"); s.Phase != v1beta1.ImagePhaseFailed || !strings.HasPrefix(s.Message, "not pulled: ") || len(f.pulls) != 0 {
			t.Errorf("%+v, pulls %v", s, f.pulls)
		}
	})
}
