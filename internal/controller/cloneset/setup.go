package cloneset

import (
	"context"
	"fmt"
	"time"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/engine"
	"github.com/outrigger-project/outrigger/internal/watch"
)

// recorderName is the reporting component of the events.
const recorderName = "cloneset-controller"

// Options of the controller.
type Options struct {
	// Workers is how many CloneSets are reconciled at a time. Default 3.
	Workers int
	// WritesInFlight is how many Pods are written to at a time, of all CloneSets together. Default
	// engine.DefaultWritesInFlight.
	WritesInFlight int
	// ExcludePreparingDelete is what scaleStrategy.excludePreparingDelete is for CloneSets that do not say true.
	ExcludePreparingDelete bool
	// RollBack lets a partition that is raised bring Pods back to the current revision (gate CloneSetPartitionRollback).
	RollBack bool
	// ShortHash has Pods name their revision by the last part of its name only (gate CloneSetShortHash).
	ShortHash bool
	// Renewals are those of all CloneSets' Pods. nil: no container starts anew for its environment.
	Renewals *Renewals
	// Metrics are told what happens. nil: nobody is.
	Metrics *Metrics
}

// SetupWithManager adds the CloneSet controller to a manager, whose cache is to transform Pods with kept.Trim,
// ControllerRevisions with kept.TrimRevision and nodes with kept.TrimNode, and to have the claims of kept.Claims.
func SetupWithManager(mgr manager.Manager, o Options) error {
	if o.Workers <= 0 {
		o.Workers = 3
	}
	if err := setup(mgr, o); err != nil {
		return fmt.Errorf("set up the CloneSet controller: %w", err)
	}
	return nil
}

func setup(mgr manager.Manager, o Options) error {
	ctx := context.Background()
	server, err := engine.NewServer(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return err
	}
	sets, err := watch.Informer(ctx, mgr, &v1beta1.CloneSet{})
	if err != nil {
		return err
	}
	informers, err := newInformers(ctx, mgr)
	if err != nil {
		return err
	}
	r := newReconciler(mgr.GetClient(), server, newRecords(informers), mgr.GetEventRecorder(recorderName), o, time.Now)
	if r.canResize, err = engine.ServesResize(mgr.GetConfig(), mgr.GetHTTPClient()); err != nil {
		return err
	}
	if o.Metrics != nil {
		r.metrics = o.Metrics
	}
	c, err := builder.ControllerManagedBy(mgr).
		Named("cloneset").
		WatchesRawSource(&watch.Source{Informer: sets, Handler: r.setHandler}).
		WatchesRawSource(&watch.Source{Informer: informers.pods, Handler: r.podHandler}).
		WatchesRawSource(&watch.Source{Informer: informers.revisions, Handler: r.revisionHandler}).
		WatchesRawSource(&watch.Source{Informer: informers.claims, Handler: r.claimHandler}).
		WithOptions(controller.Options{MaxConcurrentReconciles: o.Workers, RateLimiter: watch.RateLimiter()}).
		Build(r)
	if o.Renewals != nil {
		o.Renewals.tells = func(requests toolscache.SharedIndexInformer) error {
			return c.Watch(&watch.Source{Informer: requests, Handler: r.requestHandler})
		}
	}
	return err
}
