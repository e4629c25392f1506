package cloneset

import (
	"runtime"
	"syscall"
	"time"
)

// meter adds up what is spent between start and stop.
type meter struct {
	cpu    time.Duration
	allocs uint64

	began   time.Duration
	mallocs uint64
}

func (m *meter) start() {
	if m == nil {
		return
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	m.mallocs, m.began = stats.Mallocs, cpuTime()
}

func (m *meter) stop() {
	if m == nil {
		return
	}
	m.cpu += cpuTime() - m.began
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	m.allocs += stats.Mallocs - m.mallocs
}

// cpuTime is what the process has used, garbage collection included.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
