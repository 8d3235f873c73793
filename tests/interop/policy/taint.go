// SPDX-License-Identifier: MIT

// The policy of the start-up taint, over what becomes of a Node by nmi's patch and by what a thief of its token
// would send.
package main

import (
	"context"
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
)

const (
	taintPolicy = "nmi-startup-taint"
	taintKey    = "nmi.azure.com/not-ready"
	notOwn      = "its own node alone: it is on node-a"
	otherTaint  = "may take off taints with the key " + taintKey + " alone"
	otherSpec   = "no other part of the spec"
	otherMeta   = "no label, annotation, finalizer or owner"
)

// Who changes which Node, from what to what.
type change struct {
	user     string
	extra    map[string][]string
	name     string
	old, new *corev1.Node
}

type nodeTest struct {
	sentence string
	change   func(*change)
	refusal  string // part of it; "": admitted
}

func taint(key, value string, effect corev1.TaintEffect) corev1.Taint {
	return corev1.Taint{Key: key, Value: value, Effect: effect}
}

// What nmi does: of the four taints those with the key are gone.
func untainted() *change {
	gpu, full := taint("sku", "gpu", "NoSchedule"), taint("node.kubernetes.io/disk-pressure", "", "NoSchedule")
	old := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-a", ResourceVersion: "7", Labels: map[string]string{"pool": "1"},
		Annotations: map[string]string{"a": "1"}, Finalizers: []string{"x/y"},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Machine", Name: "m", UID: "u"}}},
		Spec: corev1.NodeSpec{ProviderID: "azure:///x", PodCIDR: "10.244.0.0/24", PodCIDRs: []string{"10.244.0.0/24"},
			Taints: []corev1.Taint{gpu, taint(taintKey, "true", "NoSchedule"), full, taint(taintKey, "", "NoExecute")}}}
	c := &change{user: nmi, extra: map[string][]string{nodeKey: {"node-a"}}, name: "node-a", old: old, new: old.DeepCopy()}
	c.new.Spec.Taints = []corev1.Taint{gpu, full}
	c.new.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "nmi"}}
	return c
}

func spec(f func(*corev1.NodeSpec)) func(*change) { return func(c *change) { f(&c.new.Spec) } }
func identity(f func(*corev1.Node)) func(*change) { return func(c *change) { f(c.new) } }

func changer(who string, f func(*change)) func(*change) {
	return func(c *change) { c.user, c.extra = who, nil; f(c) }
}

var nodeTests = []nodeTest{
	{"what nmi does to its node is admitted", func(*change) {}, ""},
	{"one of two taints with the key may stay", spec(func(s *corev1.NodeSpec) {
		s.Taints = append(s.Taints, taint(taintKey, "", "NoExecute"))
	}), ""},
	{"the last taint may go", func(c *change) {
		c.old.Spec.Taints, c.new.Spec.Taints = c.old.Spec.Taints[1:2], nil
	}, ""},
	{"a node with nothing in it but the taint", func(c *change) {
		c.old.ObjectMeta, c.new.ObjectMeta = metav1.ObjectMeta{Name: "node-a"}, metav1.ObjectMeta{Name: "node-a"}
		c.old.Spec, c.new.Spec = corev1.NodeSpec{Taints: c.old.Spec.Taints[1:2]}, corev1.NodeSpec{}
	}, ""},
	{"another node's taint", func(c *change) { c.name, c.old.Name, c.new.Name = "node-b", "node-b", "node-b" }, notOwn},
	{"a token of nmi's that is of no node", func(c *change) { c.extra = nil }, nodeless},
	{"one with an empty node", func(c *change) { c.extra[nodeKey] = []string{""} }, nodeless},
	{"one with two nodes", func(c *change) { c.extra[nodeKey] = []string{"node-a", "node-b"} }, nodeless},
	{"another taint goes too", spec(func(s *corev1.NodeSpec) { s.Taints = s.Taints[1:] }), otherTaint},
	{"all taints go", spec(func(s *corev1.NodeSpec) { s.Taints = nil }), otherTaint},
	{"a taint comes", spec(func(s *corev1.NodeSpec) { s.Taints = append(s.Taints, taint("x", "", "NoExecute")) }), otherTaint},
	{"the taint is put on", func(c *change) { c.old, c.new = c.new, c.old }, otherTaint},
	{"it is put on with another effect", spec(func(s *corev1.NodeSpec) {
		s.Taints = append(s.Taints, taint(taintKey, "", "PreferNoSchedule"))
	}), otherTaint},
	{"another taint has another effect", spec(func(s *corev1.NodeSpec) { s.Taints[0].Effect = "PreferNoSchedule" }), otherTaint},
	{"another taint has another value", spec(func(s *corev1.NodeSpec) { s.Taints[0].Value = "x" }), otherTaint},
	{"the node is cordoned", spec(func(s *corev1.NodeSpec) { s.Unschedulable = true }), otherSpec},
	{"its provider's id", spec(func(s *corev1.NodeSpec) { s.ProviderID = "" }), otherSpec},
	{"its addresses for pods", spec(func(s *corev1.NodeSpec) { s.PodCIDRs = []string{"10.0.0.0/8"} }), otherSpec},
	{"its address for pods", spec(func(s *corev1.NodeSpec) { s.PodCIDR = "10.0.0.0/8" }), otherSpec},
	{"its external id", spec(func(s *corev1.NodeSpec) { s.DoNotUseExternalID = "x" }), otherSpec},
	{"a source of its configuration", spec(func(s *corev1.NodeSpec) { s.ConfigSource = &corev1.NodeConfigSource{} }), otherSpec},
	{"a label comes", identity(func(n *corev1.Node) { n.Labels["x"] = "1" }), otherMeta},
	{"all labels go", identity(func(n *corev1.Node) { n.Labels = nil }), otherMeta},
	{"an annotation is another", identity(func(n *corev1.Node) { n.Annotations["a"] = "2" }), otherMeta},
	{"a finalizer goes", identity(func(n *corev1.Node) { n.Finalizers = nil }), otherMeta},
	{"an owner goes", identity(func(n *corev1.Node) { n.OwnerReferences = nil }), otherMeta},
	{"a kubelet may cordon any", changer("system:node:node-b", spec(func(s *corev1.NodeSpec) { s.Unschedulable = true })), ""},
	{"an administrator may put the taint on", changer("admin", func(c *change) { c.old, c.new = c.new, c.old }), ""},
	{"another account may", changer("system:serviceaccount:kube-system:nmi2", identity(func(n *corev1.Node) { n.Labels = nil })), ""},
}

func (r *rig) judgeChange(c *change) error {
	attributes := admission.NewAttributesRecord(c.new, c.old, corev1.SchemeGroupVersion.WithKind("Node"), "", c.name,
		corev1.SchemeGroupVersion.WithResource("nodes"), "", admission.Update, &metav1.UpdateOptions{}, false,
		&user.DefaultInfo{Name: c.user, Extra: c.extra})
	return r.plugin.Validate(context.Background(), attributes, r.objects)
}

// Why not; "": as wanted.
func (t *nodeTest) fault(r *rig) string {
	c := untainted()
	t.change(c)
	err := r.judgeChange(c)
	if t.refusal == "" && err != nil || t.refusal != "" && (err == nil || !strings.Contains(err.Error(), t.refusal) ||
		!apierrors.IsForbidden(err)) {
		return fmt.Sprintf("got %v, want %q", err, t.refusal)
	}
	return ""
}

func tellNodes(r *rig) {
	for i := range nodeTests {
		fault := nodeTests[i].fault(r)
		tell(fault == "", "nodes: "+nodeTests[i].sentence, fault)
	}
}

// Each rule is needed, as those of the other policies.
func tellNodeRules(objects []runtime.Object) {
	for _, object := range objects {
		policy, ok := object.(*admissionv1.ValidatingAdmissionPolicy)
		for i := 0; ok && policy.Name == taintPolicy && i < len(policy.Spec.Validations); i++ {
			r, err := newRig(without(objects, policy.Name, i))
			if err != nil {
				bail(err)
			}
			missed := 0
			for j := range nodeTests {
				if nodeTests[j].fault(r) != "" {
					missed++
				}
			}
			r.close()
			tell(missed > 0, fmt.Sprintf("%s without its rule %d lets pass what it must not", policy.Name, i+1))
		}
	}
}
