package testkit

import (
	"context"
	"errors"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Fault is what happens to one call.
type Fault string

// The faults a call can meet.
const (
	// Conflict: answered 409, nothing committed.
	Conflict Fault = "conflict"
	// Timeout: no answer, nothing committed.
	Timeout Fault = "timeout before commit"
	// LostReply: committed, no answer.
	LostReply Fault = "lost reply after commit"
	// InternalError: answered 500, nothing committed.
	InternalError Fault = "500"
	// Unavailable: answered 503, nothing committed.
	Unavailable Fault = "503"
	// TooMany: answered 429, nothing committed.
	TooMany Fault = "429"
	// Forbidden: answered 403, nothing committed.
	Forbidden Fault = "403"
	// CrashBefore: the process dies before the call is sent.
	CrashBefore Fault = "crash before"
	// CrashAfter: the process dies after the call was committed.
	CrashAfter Fault = "crash after"
)

// Faults lists every fault.
func Faults() []Fault {
	return []Fault{Conflict, Timeout, LostReply, InternalError, Unavailable, TooMany, Forbidden, CrashBefore, CrashAfter}
}

// Failing is an API of which one call meets a fault.
type Failing struct {
	api *API
	// at counts down to the call that fails; fault is what it meets.
	fault Fault

	mu      sync.Mutex
	at      int
	crashed bool
}

// NewFailing returns an API whose n-th call, the first being 1, meets the fault. 0: none does.
func NewFailing(api *API, n int, fault Fault) *Failing {
	return &Failing{api: api, at: n, fault: fault}
}

// Crashed tells whether the process that uses this API has died: every call from then on fails.
func (f *Failing) Crashed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.crashed
}

// Struck tells whether the fault has happened.
func (f *Failing) Struck() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at <= 0
}

// Create implements engine.API.
func (f *Failing) Create(ctx context.Context, resource schema.GroupVersionResource, namespace string, object []byte) (made metav1.ObjectMeta, err error) {
	err = f.call(func() (err error) {
		made, err = f.api.Create(ctx, resource, namespace, object)
		return err
	})
	if err != nil {
		return metav1.ObjectMeta{}, err
	}
	return made, nil
}

// Patch implements engine.API.
func (f *Failing) Patch(ctx context.Context, resource schema.GroupVersionResource, subresource, namespace, name string, patch []byte) (version string, err error) {
	err = f.call(func() (err error) {
		version, err = f.api.Patch(ctx, resource, subresource, namespace, name, patch)
		return err
	})
	return version, err
}

// Delete implements engine.API.
func (f *Failing) Delete(ctx context.Context, resource schema.GroupVersionResource, namespace, name string, p metav1.Preconditions) error {
	return f.call(func() error { return f.api.Delete(ctx, resource, namespace, name, p) })
}

// Look implements engine.API.
func (f *Failing) Look(ctx context.Context, resource schema.GroupVersionResource, namespace, name string) (found metav1.ObjectMeta, err error) {
	err = f.call(func() (err error) {
		found, err = f.api.Look(ctx, resource, namespace, name)
		return err
	})
	if err != nil {
		return metav1.ObjectMeta{}, err
	}
	return found, nil
}

func (f *Failing) call(do func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at--
	if f.crashed {
		return context.Canceled
	}
	if f.at != 0 {
		return do()
	}
	switch f.fault {
	case LostReply, CrashAfter:
		if err := do(); err != nil {
			return err
		}
	}
	f.crashed = f.fault == CrashAfter || f.fault == CrashBefore
	return f.fault.answer()
}

// answer is what the caller gets.
func (f Fault) answer() error {
	pods := schema.GroupResource{Resource: "pods"}
	switch f {
	case Conflict:
		return apierrors.NewConflict(pods, "", errors.New("injected"))
	case InternalError:
		return apierrors.NewInternalError(errors.New("injected"))
	case Unavailable:
		return apierrors.NewServiceUnavailable("injected")
	case TooMany:
		return apierrors.NewTooManyRequests("injected", 1)
	case Forbidden:
		return apierrors.NewForbidden(pods, "", errors.New("injected"))
	case CrashBefore, CrashAfter:
		return context.Canceled
	default:
		return errors.New("connection lost")
	}
}
