package wire

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// Born returns the start time of a process, which together with its pid names
// it for ever: a pid alone is given to another process sooner or later.
func Born(pid int) (uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("process %d: %w", pid, err)
	}
	state, born, err := parseStat(b)
	if err != nil {
		return 0, fmt.Errorf("process %d: %w", pid, err)
	}
	if state == 'Z' {
		return 0, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	return born, nil
}

// parseStat reads the state (field 3) and start time (field 22) of
// /proc/PID/stat. Field 2 is the program's name in brackets and may itself
// hold blanks and brackets, so counting starts after the last one.
func parseStat(stat []byte) (state byte, born uint64, err error) {
	i := bytes.LastIndexByte(stat, ')')
	fields := bytes.Fields(stat[i+1:])
	const stateField, startField = 0, 22 - 3
	if i < 0 || len(fields) <= startField {
		return 0, 0, errors.New("unexpected format of /proc stat")
	}
	born, err = strconv.ParseUint(string(fields[startField]), 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("start time: %w", err)
	}
	return fields[stateField][0], born, nil
}

// Alive tells whether exactly this process still runs.
func (p Process) Alive() bool {
	if p.PID <= 0 || p.Born == 0 {
		return false
	}
	born, err := Born(p.PID)
	return err == nil && born == p.Born
}

// Kill ends exactly this process, if it still runs.
func (p Process) Kill() error {
	if !p.Alive() {
		return nil
	}
	if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill process %d: %w", p.PID, err)
	}
	return nil
}
