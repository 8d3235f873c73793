// SPDX-License-Identifier: MIT

// What a node makes of a DaemonSet: from its pod template on stdin and an image, the bundle that a container runtime
// starts. It is what kubelet and containerd say, as far as it concerns nmi: containerd's own defaults, and its own seccomp
// filter for `RuntimeDefault`. What they would do and this cannot is an error, so that nothing is passed over in silence.
//
//	bundle -image OCI-LAYOUT -node NAME -netns FILE -host DIR -account DIR [-env NAME=VALUE...] DIR <RENDERED
//
// leaves in DIR: rootfs/, config.json, and as one argument a line `readiness` and `liveness`, the commands of the probes.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/containers"
	"github.com/containerd/containerd/contrib/seccomp"
	"github.com/containerd/containerd/namespaces"
	"github.com/containerd/containerd/oci"
	image "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"
)

type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

var (
	layout  = flag.String("image", "", "OCI layout of the image")
	node    = flag.String("node", "", "name of the node")
	netns   = flag.String("netns", "", "the node's network namespace")
	host    = flag.String("host", "", "what is the node's root to host paths")
	account = flag.String("account", "", "directory with what is mounted of the service account")
	env     list
)

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bundle:", err)
		os.Exit(1)
	}
}

func readJSON(path string, into any) {
	check(json.Unmarshal(must(os.ReadFile(path)), into))
}

// The image's layers as rootfs, and its configuration.
func unpack(rootfs string) (config image.Image) {
	var index image.Index
	var manifest image.Manifest
	blob := func(d image.Descriptor) string { return filepath.Join(*layout, "blobs", "sha256", d.Digest.Encoded()) }
	readJSON(filepath.Join(*layout, "index.json"), &index)
	readJSON(blob(index.Manifests[0]), &manifest)
	readJSON(blob(manifest.Config), &config)
	check(os.MkdirAll(rootfs, 0o755))
	for _, layer := range manifest.Layers {
		tar := exec.Command("tar", "-x", "-C", rootfs, "-f", blob(layer))
		if strings.HasSuffix(layer.MediaType, "+gzip") {
			tar.Args = append(tar.Args, "-z")
		}
		tar.Stderr = os.Stderr
		check(tar.Run())
	}
	return config
}

func daemonSet() (found *apps.DaemonSet) {
	for docs := yaml.NewYAMLReader(bufio.NewReader(os.Stdin)); ; {
		doc, err := docs.Read()
		if err == io.EOF {
			break
		}
		check(err)
		d := &apps.DaemonSet{}
		if sigsyaml.Unmarshal(doc, d) == nil && d.Kind == "DaemonSet" {
			if found != nil {
				check(fmt.Errorf("two DaemonSets: %s and %s", found.Name, d.Name))
			}
			found = d
		}
	}
	if found == nil {
		check(fmt.Errorf("there is no DaemonSet"))
	}
	return found
}

// The variables of the pod, as kubelet fills them in.
func variables(c *core.Container) (all []string, expand func(string) string) {
	byName := map[string]string{}
	for _, v := range c.Env {
		value := v.Value
		if v.ValueFrom != nil {
			if v.ValueFrom.FieldRef == nil || v.ValueFrom.FieldRef.FieldPath != "spec.nodeName" {
				check(fmt.Errorf("variable %s is of something that there is none of here", v.Name))
			}
			value = *node
		}
		byName[v.Name] = value
		all = append(all, v.Name+"="+value)
	}
	return all, func(s string) string {
		for name, value := range byName {
			s = strings.ReplaceAll(s, "$("+name+")", value)
		}
		return s
	}
}

// What is to be mounted, with host paths made as their type says.
func mounts(spec *core.PodSpec, c *core.Container) (all []specs.Mount) {
	volumes := map[string]*core.HostPathVolumeSource{}
	for _, v := range spec.Volumes {
		if v.HostPath == nil {
			check(fmt.Errorf("volume %s is no host path", v.Name))
		}
		volumes[v.Name] = v.HostPath
	}
	bind := func(from, to string, readOnly bool) {
		options := []string{"rbind", "rprivate", "rw"}
		if readOnly {
			options[2] = "ro"
		}
		all = append(all, specs.Mount{Source: from, Destination: to, Type: "bind", Options: options})
	}
	for _, m := range c.VolumeMounts {
		from := filepath.Join(*host, volumes[m.Name].Path)
		switch *volumes[m.Name].Type {
		case core.HostPathDirectoryOrCreate:
			check(os.MkdirAll(from, 0o755))
		case core.HostPathFileOrCreate:
			check(os.MkdirAll(filepath.Dir(from), 0o755))
			check(must(os.OpenFile(from, os.O_CREATE, 0o644)).Close())
		}
		bind(from, m.MountPath, m.ReadOnly)
	}
	bind(*account, "/var/run/secrets/kubernetes.io/serviceaccount", true)
	for _, f := range []string{"/etc/hosts", "/etc/resolv.conf"} {
		bind(filepath.Join(*host, f), f, false)
	}
	return all
}

// As containerd's CRI does it: its default capabilities, less `drop`, and `add`; then the filter, which depends on them.
func security(spec *core.PodSpec, c *core.Container) []oci.SpecOpts {
	s := c.SecurityContext
	var drop, add []string
	for _, d := range s.Capabilities.Drop {
		if d != "ALL" {
			check(fmt.Errorf("drops %s alone", d))
		}
		drop = []string{}
	}
	if drop == nil {
		check(fmt.Errorf("does not drop all capabilities"))
	}
	for _, a := range s.Capabilities.Add {
		add = append(add, "CAP_"+string(a))
	}
	if !spec.HostNetwork || spec.HostPID || spec.HostIPC || s.Privileged != nil {
		check(fmt.Errorf("is no pod of nmi's kind"))
	}
	opts := []oci.SpecOpts{
		oci.WithUserID(uint32(*s.RunAsUser)),
		oci.WithCapabilities(append(drop, add...)),
		oci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: *netns}),
	}
	if s.ReadOnlyRootFilesystem != nil && *s.ReadOnlyRootFilesystem {
		opts = append(opts, oci.WithRootFSReadonly())
	}
	if s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation {
		opts = append(opts, oci.WithNewPrivileges)
	}
	switch p := s.SeccompProfile; p.Type {
	case core.SeccompProfileTypeRuntimeDefault:
		opts = append(opts, seccomp.WithDefaultProfile())
	case core.SeccompProfileTypeLocalhost:
		opts = append(opts, seccomp.WithProfile(filepath.Join(*host, "var/lib/kubelet/seccomp", *p.LocalhostProfile)))
	case core.SeccompProfileTypeUnconfined:
	}
	return opts
}

func writeProbe(dir, name string, p *core.Probe) {
	if p == nil || p.Exec == nil {
		check(fmt.Errorf("the %s probe is no command", name))
	}
	check(os.WriteFile(filepath.Join(dir, name), []byte(strings.Join(p.Exec.Command, "\n")+"\n"), 0o644))
}

func main() {
	flag.Var(&env, "env", "a variable that kubelet sets")
	flag.Parse()
	dir := must(filepath.Abs(flag.Arg(0)))
	rootfs := filepath.Join(dir, "rootfs")
	config := unpack(rootfs)
	pod := &daemonSet().Spec.Template.Spec
	c := &pod.Containers[0]
	vars, expand := variables(c)

	args := config.Config.Entrypoint
	if len(c.Command) > 0 {
		args = c.Command
	}
	for _, a := range c.Args {
		args = append(args, expand(a))
	}
	opts := []oci.SpecOpts{
		oci.WithRootFSPath(rootfs),
		oci.WithProcessArgs(args...),
		oci.WithProcessCwd("/"),
		oci.WithDefaultPathEnv,
		oci.WithEnv(config.Config.Env),
		oci.WithEnv(vars),
		oci.WithEnv(env),
		oci.WithoutMounts("/run"), // containerd's CRI has none there
		oci.WithMounts(mounts(pod, c)),
	}
	ctx := namespaces.WithNamespace(context.Background(), "k8s.io")
	spec := must(oci.GenerateSpec(ctx, nil, &containers.Container{ID: "nmi"}, append(opts, security(pod, c)...)...))
	spec.Process.Rlimits = nil // as its CRI: those of the runtime itself
	spec.Linux.CgroupsPath = ""
	spec.Linux.Resources = nil // limits are the business of a real node
	check(os.WriteFile(filepath.Join(dir, "config.json"), must(json.MarshalIndent(spec, "", " ")), 0o644))
	writeProbe(dir, "readiness", c.ReadinessProbe)
	writeProbe(dir, "liveness", c.LivenessProbe)
}
