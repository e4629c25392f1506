package podlife

import (
	"crypto/sha256"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/devcluster/internal/behaviour"
)

// Phase of a container.
type Phase int

// The phases; see the drawing in the package comment.
const (
	Waiting Phase = iota
	Running
	Exited
)

// Reasons for which a container waits.
const (
	creating       = "ContainerCreating"
	initializing   = "PodInitializing"
	errImagePull   = "ErrImagePull"
	pullBackOff    = "ImagePullBackOff"
	configError    = "CreateContainerConfigError"
	crashLoop      = "CrashLoopBackOff"
	sigkillExit    = 137
	crashImageExit = 1
)

// Container is the life of one container so far.
type Container struct {
	Phase Phase
	// Reason and Message of waiting.
	Reason, Message string
	// Image is the reference, ImageID the image and ID the identity of the
	// last instance; ID is empty while there was none.
	Image, ImageID, ID string
	Restarts           int32
	// Started is when the last instance began to run, Finished when it ended.
	Started, Finished time.Time
	// Exit is how the last instance ended, when Phase is Exited; Last how the one
	// before the present state ended.
	Exit, Last *corev1.ContainerStateTerminated
	// Due is when a container that does not run tries to start, or when
	// ErrImagePull turns into ImagePullBackOff. Zero: not yet known, or never.
	Due time.Time
	// Crashes counts the times it ended by itself in a row.
	Crashes int
	// Resources the last instance has.
	Resources corev1.ResourceRequirements
}

// subject is a container in the middle of a decision.
type subject struct {
	Container
	pod  *pod
	spec *corev1.Container
	init bool
	set  behaviour.Settings
	// fresh tells that the instance was made in this very step.
	fresh bool
}

func (p *pod) subject(spec *corev1.Container, init bool) *subject {
	return &subject{Container: p.memory.Containers[spec.Name], pod: p, spec: spec, init: init, set: p.Behaviour.Of(spec.Name)}
}

// sidecar tells whether it is an init container that runs beside the others.
func (c *subject) sidecar() bool {
	return c.init && c.spec.RestartPolicy != nil && *c.spec.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// hold keeps a container waiting for the init containers before it.
func (c *subject) hold() {
	c.Phase, c.Reason, c.Message = Waiting, initializing, ""
}

// step takes the container as far as it can get now.
func (c *subject) step() {
	switch c.Phase {
	case Waiting:
		c.stepWaiting()
	case Running:
		c.stepRunning()
	case Exited:
		c.stepExited()
	}
}

func (c *subject) stepWaiting() {
	switch c.Reason {
	case errImagePull, pullBackOff:
		c.stepPulling()
	case configError:
		c.Message = c.pod.Unmet[c.spec.Name]
		if c.Message == "" {
			c.start()
		}
	case crashLoop:
		c.stepExited()
	default:
		c.Reason, c.Message = creating, ""
		if c.Due.IsZero() {
			c.Due = c.pod.Now.Add(c.set.StartDelay)
		}
		if c.due() {
			c.start()
		}
	}
}

func (c *subject) stepPulling() {
	if !c.set.PullFails(c.spec.Image) {
		c.start()
		return
	}
	if c.Reason == errImagePull && c.due() {
		c.Reason, c.Message = pullBackOff, fmt.Sprintf("Back-off pulling image %q", c.spec.Image)
		c.pod.tell(false, "BackOff", c.Message)
	}
}

// due tells whether Due has come, and asks to be woken when not.
func (c *subject) due() bool {
	if c.pod.Now.Before(c.Due) {
		c.pod.wakeAt(c.Due)
		return false
	}
	return true
}

// start tries to make a new instance.
func (c *subject) start() {
	image := c.spec.Image
	if c.set.PullFails(image) {
		c.wait(errImagePull, fmt.Sprintf("failed to pull image %q: not found", image))
		c.Due = c.pod.Now.Add(c.set.PullBackoff)
		c.pod.wakeAt(c.Due)
		c.pod.tell(true, "Failed", "Failed to pull image \""+image+"\": not found")
		return
	}
	if message := c.pod.Unmet[c.spec.Name]; message != "" {
		c.wait(configError, message)
		c.Due = time.Time{}
		c.pod.tell(true, "Failed", "Error: "+message)
		return
	}
	if c.ID != "" {
		c.Restarts++
	}
	if c.Phase == Exited {
		c.Last = c.Exit
	}
	c.Phase, c.Reason, c.Message, c.Exit, c.Due = Running, "", "", nil, time.Time{}
	c.Image, c.ImageID = image, c.set.ImageID(image)
	c.ID = fmt.Sprintf("sim://%x", sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", c.pod.Pod.UID, c.spec.Name, c.Restarts)))
	c.Started, c.Resources, c.fresh = c.pod.Now, c.spec.Resources, true
	c.pod.tell(false, "Pulled", fmt.Sprintf("Container image %q already present on machine", image))
	c.pod.tell(false, "Created", "Created container: "+c.spec.Name)
	c.pod.tell(false, "Started", "Started container "+c.spec.Name)
	// An init container that takes no time is done in the same step.
	if runFor, code := c.fate(); c.init && !c.sidecar() && runFor == 0 && code == 0 {
		c.exit(code, c.pod.Now)
		return
	}
	c.stepRunning()
}

// wait takes a container that cannot start out of its former state.
func (c *subject) wait(reason, message string) {
	if c.Phase == Exited {
		c.Last, c.Exit = c.Exit, nil
	}
	c.Phase, c.Reason, c.Message = Waiting, reason, message
}

func (c *subject) stepRunning() {
	if c.changed() {
		c.pod.tell(false, "Killing", fmt.Sprintf("Container %s definition changed, will be restarted", c.spec.Name))
		c.exit(0, c.pod.Now)
		c.Due, c.Crashes = c.pod.Now.Add(c.set.RestartGap), 0
		c.stepExited()
		return
	}
	c.Resources = c.spec.Resources
	runFor, code := c.fate()
	if runFor != behaviour.Forever {
		end := c.Started.Add(runFor)
		// An instance that ends at once is written down as running first.
		if !c.pod.Now.Before(end) && !c.fresh {
			c.end(code, end)
			return
		}
		c.pod.wakeAt(later(end, c.pod.Now))
	}
	if ready := c.Started.Add(c.set.ReadyDelay); c.pod.Now.Before(ready) {
		c.pod.wakeAt(ready)
	}
}

// changed tells whether a running container must be replaced. A plain init
// container runs its course.
func (c *subject) changed() bool {
	if c.init && !c.sidecar() {
		return false
	}
	if c.Image != c.spec.Image {
		return true
	}
	for _, policy := range c.spec.ResizePolicy {
		if policy.RestartPolicy != corev1.RestartContainer {
			continue
		}
		if resized(c.Resources.Requests, c.spec.Resources.Requests, policy.ResourceName) || resized(c.Resources.Limits, c.spec.Resources.Limits, policy.ResourceName) {
			return true
		}
	}
	return false
}

func resized(old, now corev1.ResourceList, name corev1.ResourceName) bool {
	return !equality.Semantic.DeepEqual(old[name], now[name])
}

// stepExited starts a container again, if it will be, when that is due.
func (c *subject) stepExited() {
	if c.Due.IsZero() {
		return // for good
	}
	if c.Image != c.spec.Image && c.Crashes > 0 { // the back-off was for the other image
		c.Due, c.Crashes = c.pod.Now, 0
	}
	if c.due() {
		c.start()
	}
}

// fate says how long an instance runs and how it ends.
func (c *subject) fate() (time.Duration, int32) {
	switch {
	case c.set.Crash.Match(c.Image):
		return 0, crashImageExit
	case c.set.RunFor != nil:
		return *c.set.RunFor, c.set.ExitCode
	case c.sidecar():
		return behaviour.Forever, 0
	case c.init:
		return c.set.InitRunFor, c.set.ExitCode
	case c.policy() != corev1.RestartPolicyAlways:
		return c.set.JobRunFor, c.set.ExitCode
	case c.set.ExitCode != 0:
		return 0, c.set.ExitCode
	default:
		return behaviour.Forever, 0
	}
}

// policy is the restart policy in force for this container.
func (c *subject) policy() corev1.RestartPolicy {
	if c.spec.RestartPolicy != nil {
		return corev1.RestartPolicy(*c.spec.RestartPolicy)
	}
	return c.pod.Pod.Spec.RestartPolicy
}

// end is what happens when an instance ends by itself.
func (c *subject) end(code int32, at time.Time) {
	ran := at.Sub(c.Started)
	c.exit(code, at)
	if !c.restarts(code) {
		return
	}
	if ran >= 2*c.set.CrashBackoffMax && c.set.CrashBackoffMax > 0 {
		c.Crashes = 0 // as a kubelet forgives a container that ran long enough
	}
	delay := backoff(c.Crashes, c.set.CrashBackoff, c.set.CrashBackoffMax)
	c.Crashes++
	c.Due = c.pod.Now.Add(delay)
	c.pod.wakeAt(c.Due)
	if delay > 0 {
		c.wait(crashLoop, fmt.Sprintf("back-off %s restarting failed container=%s pod=%s_%s(%s)", delay, c.spec.Name, c.pod.Pod.Name, c.pod.Pod.Namespace, c.pod.Pod.UID))
		c.pod.tell(true, "BackOff", fmt.Sprintf("Back-off restarting failed container %s in pod %s", c.spec.Name, c.pod.Pod.Name))
	}
}

// backoff is the wait before a restart after a number of crashes: none the
// first time, then base, 2·base, 4·base, … up to limit.
func backoff(crashes int, base, limit time.Duration) time.Duration {
	if crashes == 0 {
		return 0
	}
	delay := base
	for i := 1; i < crashes && delay < limit; i++ {
		delay *= 2
	}
	return min(delay, limit)
}

func (c *subject) restarts(code int32) bool {
	policy := c.policy()
	if c.init && !c.sidecar() && policy == corev1.RestartPolicyAlways {
		policy = corev1.RestartPolicyOnFailure // an init container has done its work once
	}
	return policy == corev1.RestartPolicyAlways || policy == corev1.RestartPolicyOnFailure && code != 0
}

// exit ends the running instance.
func (c *subject) exit(code int32, at time.Time) {
	reason := "Completed"
	if code != 0 {
		reason = "Error"
	}
	c.Phase, c.Reason, c.Message, c.Due, c.Finished = Exited, "", "", time.Time{}, at
	c.Exit = &corev1.ContainerStateTerminated{
		ExitCode: code, Reason: reason, ContainerID: c.ID,
		StartedAt: stamp(c.Started), FinishedAt: stamp(at),
	}
}

// initialized tells whether the init containers after this one may start.
func (c *subject) initialized() bool {
	if c.sidecar() {
		return c.started()
	}
	return c.Phase == Exited && c.Exit.ExitCode == 0
}

// started is what the status says: running, and past the startup probe if
// there is one. A startup probe passes when ready-delay is over.
func (c *subject) started() bool {
	return c.Phase == Running && (c.spec.StartupProbe == nil || c.pastReadyDelay())
}

func (c *subject) pastReadyDelay() bool { return !c.pod.Now.Before(c.Started.Add(c.set.ReadyDelay)) }

func (c *subject) ready() bool {
	if c.init && !c.sidecar() {
		return c.Phase == Exited && c.Exit.ExitCode == 0
	}
	runFor, _ := c.fate()
	return c.Phase == Running && c.pastReadyDelay() && runFor > 0 && !c.set.NeverReady.Match(c.Image)
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// stamp is a time as the API keeps it: in whole seconds.
func stamp(t time.Time) metav1.Time { return metav1.NewTime(t.Truncate(time.Second)) }
