package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/outrigger-project/outrigger/devcluster/internal/clusterdir"
	"github.com/outrigger-project/outrigger/devcluster/internal/clusternet"
	"github.com/outrigger-project/outrigger/devcluster/internal/images"
	"github.com/outrigger-project/outrigger/devcluster/internal/kubebuild"
	"github.com/outrigger-project/outrigger/devcluster/internal/realnode"
	"github.com/outrigger-project/outrigger/devcluster/internal/supervisor"
)

// check refuses numbers of nodes that cannot be.
func (f *upFlags) check() error {
	if f.nodes < 0 {
		return fmt.Errorf("--nodes=%d: 0 or more", f.nodes)
	}
	if f.realNodes < 0 || f.realNodes > clusternet.MaxNodes {
		return fmt.Errorf("--real-nodes=%d: from 0 to %d", f.realNodes, clusternet.MaxNodes)
	}
	return nil
}

// addRealNodes gathers what the supervisor needs for real nodes, if there are
// any; it builds the programs of the sample images.
func (f *upFlags) addRealNodes(ctx context.Context, cfg *supervisor.Config, out *os.File) error {
	c := &cfg.Cluster
	if err := sameKind(c.Dir, f.realNodes > 0); err != nil {
		return err
	}
	if f.realNodes == 0 {
		return nil
	}
	var err error
	if c.Tools, err = realnode.FindTools(); err != nil {
		return err
	}
	source, err := kubebuild.Source(f.source)
	if err != nil {
		return err
	}
	if c.Samples, err = images.Build(ctx, source, out); err != nil {
		return err
	}
	c.RealNodes = f.realNodes
	c.Keep = []string{filepath.Dir(cfg.SelfBinary), filepath.Dir(cfg.KubeBinary)}
	return nil
}

// sameKind refuses to turn a cluster with real nodes into one without, or the
// other way round: what is kept in etcd has the addresses of its Services.
func sameKind(dir clusterdir.Dir, real bool) error {
	if !dir.HasData() {
		return nil
	}
	var kept clusternet.Plan
	hadReal, err := dir.ReadNetwork(&kept)
	if err != nil {
		return err
	}
	if hadReal != real {
		return errors.New("the data of this cluster is of one " + map[bool]string{true: "with", false: "without"}[hadReal] +
			" real nodes, whose Services have other addresses: use another --dir, or `devcluster down --delete` first")
	}
	return nil
}
