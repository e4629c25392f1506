// Package node is a node of a simulated cluster: its kubelet, in the turns in which the real one works, the containers
// that really run, and what is reported of them.
package node

import (
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/internal/sim/world"
)

// Server is where a kubelet reads its Pod, and writes what it has to report.
type Server interface {
	// Pod is the newest version, nil when there is no such Pod any more.
	Pod() *corev1.Pod
	// Commit makes a Pod the newest version.
	Commit(pod *corev1.Pod)
	// Mended tells that bad images can be pulled by now, and that none crashes any more.
	Mended() bool
}

// Kubelet is a node's agent, as far as one Pod is concerned, in the order of the real one (SyncPod in
// k8s.io/kubernetes/pkg/kubelet/kubelet.go): it works on a Pod in turns, one after the other. A turn begins with a report
// of what runs and of the generation that the turn is about; then containers of another image are stopped, images pulled
// and containers started, and of all that nothing is reported before the next turn. Only the application's readiness is.
type Kubelet struct {
	// Runs is what really runs; nil before the first start. Ready is what the application says.
	Runs  []Container
	Ready bool
	// Sent is what the API server has been told.
	Sent State
	// Resizes: it gives containers the cpu and memory that the spec names, and tells.
	Resizes bool

	w      *world.World
	server Server
	node   Images
	// slow: containers may take all of their grace period to stop.
	slow bool
	name string
	// images, sizes and generation are the spec that it has been told of.
	images     []string
	sizes      [][4]string
	generation int64
	// environment is that of the Pod that it has been told of.
	environment string
	// given is the cpu and memory that it has decided to give, and putOff why these are not those of the spec.
	given  [][4]string
	putOff string
	// busy: a turn is under way; again: another is to follow; frozen: the node is lost, or the Pod is being stopped.
	busy, again, frozen bool
	// backoff is when kubelet tries again to pull an image that it could not.
	backoff time.Duration
	// now is what it has to report, sending that a report is on its way.
	now     State
	sending bool
}

// State is what kubelet reports: of containers and generation what was when the last turn began.
type State struct {
	Runs       []Container
	Generation int64
	Ready      bool
	// PutOff is why containers do not get the cpu and memory that the spec names.
	PutOff string
}

func (s *State) same(o *State) bool {
	return s.Generation == o.Generation && s.Ready == o.Ready && s.PutOff == o.PutOff && slices.Equal(s.Runs, o.Runs)
}

// New returns the kubelet of a Pod on a node that has some images.
func New(w *world.World, server Server, name string, node Images, slow bool) Kubelet {
	return Kubelet{w: w, server: server, name: name, node: node, slow: slow}
}

// Begin has kubelet see its Pod for the first time.
func (k *Kubelet) Begin() {
	if pod := k.pod(); pod != nil {
		k.Runs = make([]Container, len(Beside(pod)))
		k.Look()
	}
}

// pod is the Pod, as long as it is kubelet's business.
func (k *Kubelet) pod() *corev1.Pod {
	if k.frozen {
		return nil
	}
	return k.server.Pod()
}

// Look has kubelet see the Pod's newest version.
func (k *Kubelet) Look() {
	pod := k.pod()
	if pod == nil || k.Runs == nil {
		return
	}
	k.environment = EnvironmentOf(pod)
	if k.generation == pod.Generation {
		k.sendSoon() // readiness gates may have changed
		return
	}
	k.images, k.sizes, k.generation = nil, nil, pod.Generation
	for _, c := range Beside(pod) {
		k.images, k.sizes = append(k.images, c.Image), append(k.sizes, k.sizeOf(c))
	}
	k.turn()
}

// turn begins a turn, or has one follow that is under way.
func (k *Kubelet) turn() {
	if k.pod() == nil || k.busy {
		k.again = true
		return
	}
	k.busy, k.again = true, false
	k.allocate()
	k.now.Runs, k.now.Generation, k.now.PutOff = slices.Clone(k.Runs), k.generation, k.putOff
	k.report("begins a turn")
	wanted, stops, starts := k.images, false, false
	for i := range k.Runs {
		stops = stops || k.Runs[i].Running() && k.Runs[i].Image != wanted[i]
		starts = starts || !k.Runs[i].Running()
	}
	switch {
	case stops:
		k.w.After(k.stopping(), func() { k.stop(wanted) })
	case starts:
		k.w.After(k.w.Between(0, time.Second), func() { k.pull(wanted) })
	case k.misfits():
		k.w.After(k.w.Between(0, time.Second), k.resize)
	default:
		k.rest()
	}
}

// rest ends a turn. What it was told or what happened meanwhile makes another.
func (k *Kubelet) rest() {
	k.busy = false
	if k.again {
		k.turn()
	}
}

// stopping is how long containers take to stop.
func (k *Kubelet) stopping() time.Duration {
	grace := 30 * time.Second
	if pod := k.pod(); pod != nil && pod.Spec.TerminationGracePeriodSeconds != nil && *pod.Spec.TerminationGracePeriodSeconds < 30 {
		grace = time.Duration(*pod.Spec.TerminationGracePeriodSeconds) * time.Second
	}
	if k.slow && k.w.Percent(40) {
		return k.w.Between(grace/2, grace)
	}
	return k.w.Between(100*time.Millisecond, min(grace, 8*time.Second))
}

// stop stops the containers whose image is another than wanted, which a probe may notice.
func (k *Kubelet) stop(wanted []string) {
	if k.pod() == nil {
		return
	}
	for i := range k.Runs {
		k.Runs[i].Gone = k.Runs[i].Gone || k.Runs[i].Image != wanted[i] && k.Runs[i].Image != ""
	}
	k.w.Tell("kubelet has stopped containers of %s", k.name)
	if k.w.Percent(50) {
		k.Ready = false
		k.report("notices")
	}
	k.w.After(k.w.Between(0, time.Second), func() { k.pull(wanted) })
}

// pull brings the images that are wanted, and starts what does not run.
func (k *Kubelet) pull(wanted []string) {
	took := time.Duration(0)
	for _, image := range wanted {
		if k.node[digest(image)] == "" && !Bad(image) {
			took = k.w.Between(0, 4*time.Second)
		}
	}
	k.w.After(took, func() { k.restart(wanted) })
}

// restart starts what does not run, if its image can be pulled.
func (k *Kubelet) restart(wanted []string) {
	if k.pod() == nil {
		return
	}
	started, unready := false, k.w.Percent(50)
	for i, image := range wanted {
		if k.Runs[i].Running() {
			continue
		}
		if why := k.waits(i, image); why != "" {
			k.Runs[i].Waiting = why
			continue
		}
		k.start(i, image, unready)
		started = true
	}
	if started {
		k.w.Tell("kubelet has started containers of %s: %s", k.name, strings.Join(wanted, " "))
		if k.Ready = !unready; unready {
			k.w.After(k.w.Between(0, 5*time.Second), k.BecomeReady)
		}
	}
	k.fit()
	k.again = k.again || !slices.Equal(k.Runs, k.now.Runs)
	k.rest()
}

// waits tells why a container cannot be started now; empty if it can.
func (k *Kubelet) waits(i int, image string) (why string) {
	switch {
	case Bad(image) && (k.w.Now < k.backoff || !k.server.Mended()):
		return k.refuse(image)
	case k.crashes(image) && k.Runs[i].Image == image && k.w.Now < k.Runs[i].again:
		k.w.After(k.Runs[i].again-k.w.Now, func() { k.retry(image) })
		return "CrashLoopBackOff"
	}
	return ""
}

// crashes tells whether what an image holds ends soon after every start, and is never ready.
func (k *Kubelet) crashes(image string) bool {
	return strings.Contains(image, "crash") && !k.server.Mended()
}

// start starts a container. One that crashes does so soon.
func (k *Kubelet) start(i int, image string, unready bool) {
	c := &k.Runs[i]
	c.Start(image, k.node, k.w.Clock())
	c.Size, c.Environment = k.given[i], k.environment
	c.Unready = unready || k.crashes(image)
	if !k.crashes(image) {
		return
	}
	id := c.ID
	c.again = k.w.Now + k.w.Between(5*time.Second, 15*time.Second)
	k.w.After(k.w.Between(time.Second, 3*time.Second), func() { k.end(i, id) })
}

// refuse tells why an image is not there. kubelet tries to pull it again later.
func (k *Kubelet) refuse(image string) (why string) {
	if k.w.Now < k.backoff {
		return "ImagePullBackOff"
	}
	k.w.Tell("kubelet cannot pull %s of %s", image, k.name)
	wait := k.w.Between(5*time.Second, 15*time.Second)
	k.backoff = k.w.Now + wait
	k.w.After(wait, func() { // another image may wait for it by then
		if i := slices.IndexFunc(k.images, Bad); i >= 0 {
			k.retry(k.images[i])
		}
	})
	return "ErrImagePull"
}

// retry tries once more to start an image, if it still is wanted.
func (k *Kubelet) retry(image string) {
	if k.pod() != nil && slices.Contains(k.images, image) {
		k.turn()
	}
}

// Crash ends the first container; kubelet starts another from the spec that it has been told of.
func (k *Kubelet) Crash() {
	if k.pod() != nil && k.Runs != nil && !k.busy && k.Runs[0].Running() {
		k.end(0, k.Runs[0].ID)
	}
}

// Kill ends a container, which somebody else stops; kubelet starts another.
func (k *Kubelet) Kill(i int) {
	if k.Runs != nil {
		k.end(i, k.Runs[i].ID)
	}
}

// end ends a container, if it still runs.
func (k *Kubelet) end(i, id int) {
	if k.pod() == nil || k.Runs[i].ID != id || !k.Runs[i].Running() {
		return
	}
	k.Runs[i].Gone = true
	k.w.Tell("a container of %s crashes", k.name)
	k.w.After(k.w.Between(0, time.Second), k.turn)
}

// BecomeUnready has the application fail for a while, all by itself.
func (k *Kubelet) BecomeUnready() {
	if k.pod() == nil || k.Runs == nil || !k.Ready {
		return
	}
	k.Ready = false
	k.Runs[k.w.Rng.IntN(len(k.Runs))].Unready = true
	k.report("finds it unready")
	k.w.After(k.w.Between(time.Second, 20*time.Second), k.BecomeReady)
}

// BecomeReady ends that, and has a container that was started serve.
func (k *Kubelet) BecomeReady() {
	if k.pod() == nil {
		return
	}
	unready := !k.Ready
	for i := range k.Runs {
		if k.crashes(k.Runs[i].Image) {
			continue
		}
		unready = unready || k.Runs[i].Unready
		k.Runs[i].Unready = false
	}
	if !unready {
		return
	}
	k.Ready = true
	k.report("finds it ready")
}

// report has kubelet tell the API server, soon. What has changed again by then is told as it is then.
func (k *Kubelet) report(what string) {
	k.w.Tell("kubelet of %s %s", k.name, what)
	k.now.Ready, k.now.Runs = k.Ready, slices.Clone(k.now.Runs)
	for i := range k.now.Runs {
		if k.now.Runs[i].ID == k.Runs[i].ID { // probes tell at once, and only of a container that kubelet has reported
			k.now.Runs[i].Unready = !k.Runs[i].Serves()
		}
		k.now.Ready = k.now.Ready && k.now.Runs[i].Serves()
	}
	k.sendSoon()
}

func (k *Kubelet) sendSoon() {
	if k.sending || !k.news(k.pod()) {
		return
	}
	k.sending = true
	late := k.w.Between(0, 100*time.Millisecond)
	if k.w.Fault(10) {
		late = k.w.Between(0, 3*time.Second)
	}
	k.w.After(late, k.send)
}

// news tells whether there is something to report.
func (k *Kubelet) news(pod *corev1.Pod) bool {
	return pod != nil && k.now.Runs != nil && (!k.now.same(&k.Sent) || outdated(pod, k.now.Ready))
}

// send writes the Pod's status.
func (k *Kubelet) send() {
	k.sending = false
	pod := k.pod()
	if !k.news(pod) {
		return
	}
	k.Sent = k.now
	if k.w.Traced() {
		k.w.Tell("kubelet reports %s: generation %d, ready %v, %s", k.name, k.Sent.Generation, k.Sent.Ready, told(k.Sent.Runs))
	}
	next := Report(pod, k.Sent.Runs, k.Sent.Ready, k.Sent.Generation, k.w.Clock())
	if k.Resizes {
		PutOff(next, k.Sent.PutOff)
	}
	k.server.Commit(next)
}

// Freeze has kubelet do and report nothing more.
func (k *Kubelet) Freeze() { k.frozen = true }

// Stop has kubelet stop all containers of a Pod that is being deleted, which takes its time, and say so.
func (k *Kubelet) Stop(stopped func()) {
	if k.frozen {
		return
	}
	took := time.Duration(0)
	if k.Runs != nil {
		took = k.stopping()
	}
	k.frozen = true
	k.w.After(took, stopped)
}

func told(runs []Container) string {
	var b strings.Builder
	for i := range runs {
		b.WriteString(strconv.Itoa(runs[i].ID) + ":" + runs[i].Image)
		if !runs[i].Running() {
			b.WriteString(" (gone)")
		}
		b.WriteString(" ")
	}
	return strings.TrimSpace(b.String())
}
