package testkit

import (
	"runtime"
	"syscall"
	"time"
)

// Meter adds up what is spent between Start and Stop. A nil one does nothing.
type Meter struct {
	CPU    time.Duration
	Allocs uint64

	began   time.Duration
	mallocs uint64
}

// Start begins to count.
func (m *Meter) Start() {
	if m == nil {
		return
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	m.mallocs, m.began = stats.Mallocs, cpuTime()
}

// Stop ends it.
func (m *Meter) Stop() {
	if m == nil {
		return
	}
	m.CPU += cpuTime() - m.began
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	m.Allocs += stats.Mallocs - m.mallocs
}

// cpuTime is what the process has used, garbage collection included.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
