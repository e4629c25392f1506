package watch

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// Part is something that a process does only where the API server serves the resources that it takes.
type Part struct {
	// Name is what users know it by: CloneSets.
	Name string
	// Needs are resources of ours: clonesets.
	Needs []string
	// Also says what else is missing, as an error; nil: nothing ever is.
	Also func() error
	// Setup is called once, before or after the manager has started.
	Setup func() error
}

// SetUp sets up the parts that lack nothing, such as resources of this version that the API server serves. The log says which others there
// are and what they lack; the API server is asked about them every so often until none is left. A part that is found then
// and cannot be set up ends the manager, which is to be started again.
func SetUp(mgr manager.Manager, version schema.GroupVersion, every time.Duration, parts []Part) error {
	client, err := discovery.NewDiscoveryClientForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("connect to the API server: %w", err)
	}
	s := &starter{log: mgr.GetLogger(), every: every, left: parts, ask: func() ([]string, error) { return served(client, version) }}
	there, err := s.ask()
	if err != nil {
		return err
	}
	if _, err := s.start(there); err != nil || len(s.left) == 0 {
		return err
	}
	for _, part := range s.left {
		s.log.Info("not started: something is missing, such as CustomResourceDefinitions; it starts when that is there",
			"what", part.Name, "missing", part.lacks(there), "apiVersion", version.String())
	}
	return mgr.Add(s)
}

// served asks which resources there are of a version.
func served(client discovery.ServerResourcesInterface, version schema.GroupVersion) (names []string, err error) {
	list, err := client.ServerResourcesForGroupVersion(version.String())
	if apierrors.IsNotFound(err) {
		return nil, nil // not even the version
	}
	if err != nil {
		return nil, fmt.Errorf("ask the API server what it serves of %s: %w", version, err)
	}
	for i := range list.APIResources {
		names = append(names, list.APIResources[i].Name)
	}
	return names, nil
}

// lacks are the resources that a part needs and that are not there.
func (p *Part) lacks(there []string) []string {
	lacks := slices.DeleteFunc(slices.Clone(p.Needs), func(resource string) bool { return slices.Contains(there, resource) })
	if p.Also != nil && len(lacks) == 0 {
		if err := p.Also(); err != nil {
			lacks = append(lacks, err.Error())
		}
	}
	return lacks
}

// starter starts parts when what they need is there.
type starter struct {
	log   logr.Logger
	every time.Duration
	ask   func() ([]string, error)
	// left are the parts that have not been set up.
	left []Part
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: who may lead one day is set up, too.
func (s *starter) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable. It asks until nothing is left.
func (s *starter) Start(ctx context.Context) error {
	const jitter = 0.2 // the agents of many nodes do not ask together
	for len(s.left) > 0 {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait.Jitter(s.every, jitter)):
		}
		there, err := s.ask()
		if err != nil {
			continue // the API server is away, of which everything that watches tells
		}
		started, err := s.start(there)
		if err != nil {
			return err
		}
		for _, part := range started {
			s.log.Info("started: what was missing is there now", "what", part.Name)
		}
	}
	return nil
}

// start sets up what lacks nothing.
func (s *starter) start(there []string) (started []Part, err error) {
	var left []Part
	for _, part := range s.left {
		if len(part.lacks(there)) > 0 {
			left = append(left, part)
			continue
		}
		if err := part.Setup(); err != nil {
			return nil, fmt.Errorf("start %s: %w", part.Name, err)
		}
		started = append(started, part)
	}
	s.left = left
	return started, nil
}
