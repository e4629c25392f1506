// Package imagelistpulljob says what an ImageListPullJob means: one ImagePullJob for each of its images, and what becomes
// of them; and what is refused.
//
// What an ImagePullJob means is in internal/kind/imagepulljob. Start at Plan.
package imagelistpulljob
