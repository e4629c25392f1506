package images

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Pusher takes images.
type Pusher interface {
	Push(ctx context.Context, reference string, image v1.Image) error
}

// Load puts the catalog into a registry; folder is what Build returned.
func Load(ctx context.Context, folder string, to Pusher) error {
	workshop, err := NewWorkshop(folder)
	if err != nil {
		return err
	}
	for _, sample := range Catalog() {
		image, err := workshop.Make(sample)
		if err != nil {
			return fmt.Errorf("make image %s: %w", sample.References[0], err)
		}
		for _, reference := range sample.References {
			if err := to.Push(ctx, reference, image); err != nil {
				return err
			}
		}
	}
	return nil
}
