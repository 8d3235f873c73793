// SPDX-License-Identifier: MIT

// The manifests under deploy/ as Kubernetes itself reads them, and the admission policy as Kubernetes itself
// evaluates it, over what nmi asks and what a thief of its token would ask.
//
// usage: policy TOKEN-REQUEST.json POLICY.yaml... -- RBAC.yaml... -- OTHER.yaml...
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

const (
	nmi     = "system:serviceaccount:kube-system:nmi"
	nodeKey = "authentication.kubernetes.io/node-name"
)

var count, failed int

func tell(good bool, sentence string, seen ...any) {
	count++
	if good {
		fmt.Printf("ok %d - %s\n", count, sentence)
		return
	}
	failed++
	fmt.Printf("not ok %d - %s\n", count, sentence)
	for _, s := range seen {
		fmt.Printf("#   %v\n", s)
	}
}

func base(path string) string { return path[strings.LastIndex(path, "/")+1:] }

func bail(err error) {
	fmt.Printf("Bail out! %v\n", err)
	os.Exit(1)
}

// ---- the table ----

type test struct {
	sentence string
	change   func(*ask)
	refusal  string // part of it; "": admitted
	code     int32
}

func onNode(name string) func(*ask) {
	return func(a *ask) { a.extra = map[string][]string{nodeKey: {name}} }
}

func audiences(list ...string) func(*ask) {
	return func(a *ask) { a.request.Spec.Audiences = list }
}

func bound(change func(*authenticationv1.BoundObjectReference)) func(*ask) {
	return func(a *ask) { change(a.request.Spec.BoundObjectRef) }
}

func forPod(name string) func(*ask) {
	return bound(func(r *authenticationv1.BoundObjectReference) { r.Name, r.UID = name, uid(name) })
}

func lasting(seconds int64) func(*ask) {
	return func(a *ask) { a.request.Spec.ExpirationSeconds = &seconds }
}

func by(who string, change func(*ask)) func(*ask) {
	return func(a *ask) { a.user, a.extra = who, nil; change(a) }
}

const (
	audience = "the audience may be api://AzureADTokenExchange alone"
	unbound  = "bound to a pod: "
	oneVery  = "of one very pod: "
	tooLong  = "for ten minutes: "
	nodeless = "not of a pod on a node"
	faraway  = "of its own node alone: this one is on "
)

var tests = []test{
	{"what nmi asks is admitted", func(*ask) {}, "", 0},
	{"a shorter life is admitted", lasting(300), "", 0},
	{"another audience", audiences("https://kubernetes.default.svc"), audience, 422},
	{"the audience in capitals", audiences("API://AzureADTokenExchange"), audience, 422},
	{"a second audience beside it", audiences("api://AzureADTokenExchange", "x"), audience, 422},
	{"the audience twice", audiences("api://AzureADTokenExchange", "api://AzureADTokenExchange"), audience, 422},
	{"an empty list of audiences, which means the API server's own", audiences([]string{}...), audience, 422},
	{"no list of audiences", func(a *ask) { a.request.Spec.Audiences = nil }, audience, 422},
	{"bound to nothing", func(a *ask) { a.request.Spec.BoundObjectRef = nil }, unbound, 422},
	{"bound to a Secret", bound(func(r *authenticationv1.BoundObjectReference) { r.Kind = "Secret" }), unbound, 422},
	{"bound to a Node", bound(func(r *authenticationv1.BoundObjectReference) { r.Kind = "Node" }), unbound, 422},
	{"bound to a thing without a kind", bound(func(r *authenticationv1.BoundObjectReference) { r.Kind = "" }), unbound, 422},
	{"bound to another API's pod", bound(func(r *authenticationv1.BoundObjectReference) { r.APIVersion = "pod.example/v1" }), unbound, 422},
	{"bound to a pod of no version", bound(func(r *authenticationv1.BoundObjectReference) { r.APIVersion = "" }), unbound, 422},
	{"bound to a pod without a name", bound(func(r *authenticationv1.BoundObjectReference) { r.Name = "" }), oneVery, 422},
	{"bound to a pod without a uid", bound(func(r *authenticationv1.BoundObjectReference) { r.UID = "" }), oneVery, 422},
	{"a second more than ten minutes", lasting(601), tooLong, 422},
	{"no time, which means an hour", func(a *ask) { a.request.Spec.ExpirationSeconds = nil }, tooLong, 422},
	{"a token of nmi's that is of no node", func(a *ask) { a.extra = nil }, nodeless, 403},
	{"one with other claims alone", func(a *ask) { a.extra = map[string][]string{"x": {"node-a"}} }, nodeless, 403},
	{"one with an empty node", onNode(""), nodeless, 403},
	{"one with two nodes", func(a *ask) { a.extra = map[string][]string{nodeKey: {"node-a", "node-b"}} }, nodeless, 403},
	{"one of no node, for a pod that the API server does not know", func(a *ask) { a.extra = nil; forPod("gone")(a) }, nodeless, 403},
	{"a pod of another node", forPod("far"), faraway + "node-b, nmi on node-a", 403},
	{"this pod, asked for from another node", onNode("node-b"), faraway, 403},
	{"that pod, asked for from its node", func(a *ask) { onNode("node-b")(a); forPod("far")(a) }, "", 0},
	{"a pod that is not on a node yet", forPod("pending"), faraway + "none", 403},
	{"a pod of another node under this one's name", bound(func(r *authenticationv1.BoundObjectReference) { r.UID = uid("far") }), faraway, 403},
	{"a pod that the API server does not know: its own matter", forPod("gone"), "", 0},
	{"a namespace without pods: its own matter", func(a *ask) { a.namespace = "empty" }, "", 0},
	{"a kubelet may ask for anything", by("system:node:node-b", audiences()), "", 0},
	{"an administrator may", by("admin", lasting(86400)), "", 0},
	{"another account may", by("system:serviceaccount:kube-system:nmi2", func(a *ask) { a.request.Spec.BoundObjectRef = nil }), "", 0},
	{"one of nmi's name in another namespace may", by("system:serviceaccount:shop:nmi", forPod("far")), "", 0},
}

// ---- the cluster ----

func uid(pod string) types.UID {
	if pod == "web" {
		return "0d5c2a1e-7f0b-4c39-9d6e-2b8f1a3c4d5e"
	}
	return types.UID("uid-of-" + pod)
}

func pod(name, node string) runtime.Object {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: uid(name)},
		Spec: corev1.PodSpec{NodeName: node, ServiceAccountName: "web"}}
}

func namespace(name string) runtime.Object {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func cluster() []runtime.Object {
	return []runtime.Object{namespace("shop"), namespace("empty"), pod("web", "node-a"), pod("far", "node-b"),
		pod("pending", ""), pod("other", "node-a")}
}

// What nmi sends, in the place of which the tests put theirs.
func asked(request *authenticationv1.TokenRequest) *ask {
	return &ask{user: nmi, extra: map[string][]string{nodeKey: {"node-a"}}, namespace: "shop", account: "web",
		request: request.DeepCopy()}
}

// ---- what is told ----

func verdict(r *rig, t *test, request *authenticationv1.TokenRequest) (string, int32, map[string]string) {
	a := asked(request)
	t.change(a)
	err, log := r.judge(a)
	if err == nil {
		return "", 0, log
	}
	if status, ok := err.(apierrors.APIStatus); ok {
		return err.Error(), status.Status().Code, log
	}
	return err.Error(), 0, log
}

func asWanted(t *test, refusal string, code int32) bool {
	if t.refusal == "" {
		return refusal == ""
	}
	return strings.Contains(refusal, t.refusal) && code == t.code
}

func tellTable(r *rig, request *authenticationv1.TokenRequest) {
	for i := range tests {
		t := &tests[i]
		refusal, code, _ := verdict(r, t, request)
		tell(asWanted(t, refusal, code), t.sentence, fmt.Sprintf("got:  %d %q", code, refusal),
			fmt.Sprintf("want: %d %q", t.code, t.refusal))
	}
}

func tellAudit(r *rig, request *authenticationv1.TokenRequest) {
	want := map[string]string{"nmi-token-requests/node": "node-a", "nmi-token-requests/account": "shop/web",
		"nmi-token-requests/pod": "shop/web " + string(uid("web"))}
	_, _, log := verdict(r, &tests[0], request)
	tell(fmt.Sprint(log) == fmt.Sprint(want), "the audit log gets node, account and pod of what was granted", log)
	_, _, log = verdict(r, &test{change: func(a *ask) { a.request.Spec.BoundObjectRef, a.extra = nil, nil }}, request)
	want["nmi-token-requests/node"], want["nmi-token-requests/pod"] = "none", "none"
	tell(fmt.Sprint(log) == fmt.Sprint(want), "and of what was refused", log)
	_, _, log = verdict(r, &test{change: by("system:node:node-a", func(*ask) {})}, request)
	tell(len(log) == 0, "and nothing of what others ask", log)
}

// Each rule is needed: without it a request passes that must not, or is refused in other words.
func tellRules(objects []runtime.Object, request *authenticationv1.TokenRequest) {
	for _, object := range objects {
		policy, ok := object.(*admissionv1.ValidatingAdmissionPolicy)
		for i := 0; ok && policy.Name != taintPolicy && i < len(policy.Spec.Validations); i++ {
			r, err := newRig(append(without(objects, policy.Name, i), cluster()...))
			if err != nil {
				bail(err)
			}
			var missed []string
			for j := range tests {
				if refusal, code, _ := verdict(r, &tests[j], request); !asWanted(&tests[j], refusal, code) {
					missed = append(missed, tests[j].sentence)
				}
			}
			r.close()
			tell(len(missed) > 0, fmt.Sprintf("%s without its rule %d lets pass what it must not", policy.Name, i+1))
		}
	}
}

// How long a request takes where many pods are to be looked at: a figure for the guide, on which nothing depends.
func showSpeed(objects []runtime.Object, request *authenticationv1.TokenRequest) {
	all := append(cluster(), objects...)
	for i := 0; i < 1000; i++ {
		p := pod(fmt.Sprint("many-", i), "node-a").(*corev1.Pod)
		p.Spec.Containers = make([]corev1.Container, 3)
		p.Status.ContainerStatuses = make([]corev1.ContainerStatus, 3)
		all = append(all, p)
	}
	r, err := newRig(all)
	if err != nil {
		bail(err)
	}
	defer r.close()
	for _, t := range []test{{"nmi", func(*ask) {}, "", 0}, {"a kubelet", by("system:node:node-a", func(*ask) {}), "", 0}} {
		start := time.Now()
		for i := 0; i < 5; i++ {
			verdict(r, &t, request)
		}
		fmt.Printf("# with 1,000 pods in the namespace a request of %s takes %v in admission\n", t.sentence,
			(time.Since(start) / 5).Round(100*time.Microsecond))
	}
}

// ---- the manifests of RBAC ----

type grants struct {
	roles    map[string]bool
	accounts map[string]bool
	bindings []*rbacv1.ClusterRoleBinding
}

func (g *grants) add(object runtime.Object) bool {
	switch o := object.(type) {
	case *corev1.ServiceAccount:
		g.accounts[o.Namespace+"/"+o.Name] = true
	case *rbacv1.ClusterRole:
		g.roles[o.Name] = true
		for _, rule := range o.Rules {
			for _, word := range append(append(append([]string{}, rule.Verbs...), rule.Resources...), rule.APIGroups...) {
				if strings.Contains(word, "*") {
					return false
				}
			}
		}
	case *rbacv1.ClusterRoleBinding:
		g.bindings = append(g.bindings, o)
	default:
		return false
	}
	return true
}

func tellRBAC(paths []string) {
	g := grants{roles: map[string]bool{}, accounts: map[string]bool{}}
	for _, path := range paths {
		objects, err := load(path)
		good := err == nil && len(objects) > 0
		for _, object := range objects {
			good = g.add(object) && good
		}
		tell(good, base(path)+" is what Kubernetes reads, of accounts, roles and bindings, without a wildcard", err)
	}
	tell(len(g.accounts) == 1 && g.accounts["kube-system/nmi"], "there is one account, the one that the policy is about", g.accounts)
	for _, b := range g.bindings {
		s := b.Subjects
		tell(b.RoleRef.Kind == "ClusterRole" && b.RoleRef.APIGroup == rbacv1.GroupName && g.roles[b.RoleRef.Name] &&
			len(s) == 1 && s[0].Kind == "ServiceAccount" && s[0].APIGroup == "" && g.accounts[s[0].Namespace+"/"+s[0].Name],
			"the binding "+b.Name+" is of a role that is there, to that account", b.RoleRef, s)
	}
	tell(len(g.bindings) > 0, "there are bindings")
}

func tokenRequest(path string) *authenticationv1.TokenRequest {
	text, err := os.ReadFile(path)
	if err != nil {
		bail(err)
	}
	request := &authenticationv1.TokenRequest{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(request); err != nil {
		bail(fmt.Errorf("what nmi sends: %w", err))
	}
	return request
}

func loadPolicies(paths []string) []runtime.Object {
	var all []runtime.Object
	for _, path := range paths {
		objects, err := load(path)
		tell(err == nil && len(objects) == 2, base(path)+" is what Kubernetes reads: a policy and its binding", err, len(objects))
		all = append(all, objects...)
	}
	return all
}

func main() {
	dashes := slices.Index(os.Args, "--")
	others := len(os.Args) - 1
	for others > dashes && os.Args[others] != "--" {
		others--
	}
	if dashes < 3 || others == dashes {
		bail(fmt.Errorf("usage: policy TOKEN-REQUEST.json POLICY.yaml... -- RBAC.yaml... -- OTHER.yaml..."))
	}
	request := tokenRequest(os.Args[1])
	objects := loadPolicies(os.Args[2:dashes])
	r, err := newRig(append(cluster(), objects...))
	if err != nil {
		bail(err)
	}
	tellTable(r, request)
	tellAudit(r, request)
	tellNodes(r)
	r.close()
	tellRules(objects, request)
	tellNodeRules(objects)
	tellRBAC(os.Args[dashes+1 : others])
	for _, path := range os.Args[others+1:] {
		objects, err := load(path)
		tell(err == nil && len(objects) > 0, base(path)+" is what Kubernetes reads", err)
	}
	showSpeed(objects, request)
	fmt.Printf("1..%d\n", count)
	if failed > 0 {
		os.Exit(1)
	}
}
