// SPDX-License-Identifier: MIT

// Prints the seccomp profile of nmi's container, deploy/seccomp/nmi.json: usage: seccomp denied.def
//
// What containerd's `RuntimeDefault` allows a container with CAP_NET_ADMIN, without what lib/base/denied.def says that no
// process of nmi's calls, and with the one call that the self-test needs and RuntimeDefault keeps for CAP_SYS_ADMIN:
// unshare, of a user and a network namespace together, and of nothing else.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"

	"github.com/containerd/containerd/contrib/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Done once, before there is a filter of nmi's own: --user.
var atStart = []string{"setgroups", "setresgid", "setresuid"}

func main() {
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var denied []string
	for _, m := range regexp.MustCompile(`(?m)^DENIED\((\w+)\)`).FindAllSubmatch(text, -1) {
		if call := string(m[1]); !slices.Contains(atStart, call) {
			denied = append(denied, call)
		}
	}

	caps := []string{"CAP_NET_ADMIN"}
	profile := seccomp.DefaultProfile(&specs.Spec{
		Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: caps}}, Linux: &specs.Linux{}})
	// no process of another word size
	profile.Architectures = []specs.Arch{specs.ArchX86_64, specs.ArchAARCH64}
	for i := range profile.Syscalls {
		s := &profile.Syscalls[i]
		s.Names = slices.DeleteFunc(s.Names, func(name string) bool { return slices.Contains(denied, name) })
	}
	profile.Syscalls = slices.DeleteFunc(profile.Syscalls, func(s specs.LinuxSyscall) bool { return len(s.Names) == 0 })
	profile.Syscalls = append(profile.Syscalls, specs.LinuxSyscall{
		Names:  []string{"unshare"},
		Action: specs.ActAllow,
		Args: []specs.LinuxSeccompArg{
			{Index: 0, Value: unix.CLONE_NEWUSER | unix.CLONE_NEWNET, Op: specs.OpEqualTo}},
	})
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "\t")
	if err := out.Encode(profile); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
