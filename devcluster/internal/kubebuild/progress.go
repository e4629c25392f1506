package kubebuild

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// progress tells how a build is getting on: on a terminal one line that is
// rewritten, elsewhere a line now and then.
type progress struct {
	out      *os.File
	terminal bool
	started  time.Time
	quit     chan struct{}
	done     sync.WaitGroup

	mu       sync.Mutex
	packages int
	current  string
}

const (
	terminalEvery = 500 * time.Millisecond
	plainEvery    = 15 * time.Second
)

func newProgress(out *os.File) *progress {
	p := &progress{out: out, terminal: term.IsTerminal(int(out.Fd())), started: time.Now(), quit: make(chan struct{}), current: "loading packages"}
	every := plainEvery
	if p.terminal {
		every = terminalEvery
	}
	p.done.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-p.quit:
				return
			case <-tick.C:
				p.show()
			}
		}
	})
	return p
}

// line takes one line of `go build -v`: the name of a package it begins to
// compile, or something else it has to say.
func (p *progress) line(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !strings.ContainsAny(text, " :") {
		p.packages++
	}
	p.current = strings.TrimPrefix(text, "go: ")
}

func (p *progress) show() {
	p.mu.Lock()
	text := fmt.Sprintf("  %s  %d packages compiled, now %s", time.Since(p.started).Round(time.Second), p.packages, p.current)
	p.mu.Unlock()
	if p.terminal {
		const width = 100
		fmt.Fprintf(p.out, "\r\x1b[K%s", text[:min(len(text), width)])
		return
	}
	fmt.Fprintln(p.out, text)
}

func (p *progress) finish() {
	close(p.quit)
	p.done.Wait()
	if p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
