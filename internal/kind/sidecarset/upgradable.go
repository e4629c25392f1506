package sidecarset

import (
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// Reasons of the Pod condition SidecarSetUpgradable.
const (
	// UpdateImmutableField: a SidecarSet changed in more than images since the Pod was created.
	UpdateImmutableField = "UpdateImmutableField"
	// AllUpgradable: every SidecarSet can upgrade the Pod.
	AllUpgradable = "AllSidecarsetUpgradable"
)

// conditionsPerPlan bounds the writes of conditions in one plan, so that a set whose 10,000 Pods all need one is soon
// looked at again and goes on with its updates in between. conditionsEvery is when at the latest the next ones follow.
const (
	conditionsPerPlan = 500
	conditionsEvery   = time.Second
)

// Upgradable is what a Pod's condition SidecarSetUpgradable says. The SidecarSets that a Pod carries share it: each
// writes its own entry of the message and keeps the others'.
type Upgradable struct {
	// Says is this set's entry.
	Says entry
	// There tells that the Pod has the condition, at Index in status.conditions, with this status and message.
	There   bool
	True    bool
	Index   int
	Message string
}

// entry is what the condition says of one SidecarSet.
type entry uint8

const (
	saysNothing entry = iota
	saysYes
	saysNo
)

// upgradableOf reads the condition for a set.
func upgradableOf(index int, c *corev1.PodCondition, set string) Upgradable {
	u := Upgradable{There: true, True: c.Status == corev1.ConditionTrue, Index: index, Message: c.Message}
	if can, ok := entriesOf(c.Message)[set]; ok && can {
		u.Says = saysYes
	} else if ok {
		u.Says = saysNo
	}
	return u
}

// entriesOf reads a message. One that is not what we write is worth nothing.
func entriesOf(message string) map[string]bool {
	var entries map[string]bool
	if message == "" || json.Unmarshal([]byte(message), &entries) != nil || entries == nil {
		return map[string]bool{}
	}
	return entries
}

// conditions are the writes of conditions that do not say yet, or say no more, what is true. A Pod that can be upgraded
// and never could not has none. A set that is paused or NotUpdate leaves Pods alone, and so their conditions; a Pod that is
// just updated, or was and is not seen yet, is judged when it is seen.
func conditions(obs Observed, verdicts []verdict) []plan.Step {
	if obs.Set.NotUpdate || obs.Set.Paused {
		return nil
	}
	var list []plan.Step
	for i, v := range verdicts {
		p := &obs.Pods[i]
		if !differs(v, p.Upgradable.Says) || p.ConditionHeld || !p.Scheduled {
			continue // an unscheduled Pod has no conditions to add one to
		}
		if v == refused && p.migrates(&obs.Set) {
			continue // its hot upgrade is, whatever can become of it afterwards
		}
		list = append(list, condition(obs, p, v != needsRecreation))
		if len(list) == conditionsPerPlan {
			break
		}
	}
	return list
}

// differs tells whether a condition says something else than a verdict.
func differs(v verdict, says entry) bool {
	switch v {
	case needsRecreation:
		return says != saysNo
	case taken, resets, migrating, waitsForCache, unreadable, notUpdate, paused:
		return false
	}
	return says == saysNo
}

// condition writes whether a Pod can be upgraded.
func condition(obs Observed, p *Pod, can bool) plan.Step {
	entries := entriesOf(p.Upgradable.Message)
	entries[obs.Set.Name] = can
	all := true
	for _, yes := range entries {
		all = all && yes
	}
	message, err := json.Marshal(entries)
	if err != nil {
		panic("marshal names and truth values: " + err.Error())
	}
	c := plan.ConditionChange{
		Type: v1beta1.PodUpgradable, Status: string(corev1.ConditionFalse), Reason: UpdateImmutableField, Message: string(message),
		Index: p.Upgradable.Index, From: p.Upgradable.Message, Absent: !p.Upgradable.There, Version: p.ResourceVersion,
	}
	if all {
		c.Status, c.Reason = string(corev1.ConditionTrue), AllUpgradable
	}
	if c.Absent || all != p.Upgradable.True {
		c.Since = obs.Now.UTC().Format(time.RFC3339)
	}
	why := "the pod must be recreated to get " + obs.Set.Revision
	if can {
		why = "the pod can be updated in place"
	}
	return plan.Step{Verb: plan.SetCondition, Unit: p.Unit, Target: obs.Set.Revision, Change: plan.Change{Conditions: []plan.ConditionChange{c}}, Why: why}
}
