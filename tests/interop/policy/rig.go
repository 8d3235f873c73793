// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/generic"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
)

// The objects of a manifest. A field that the API's own types do not have, or that is there twice, is an error.
func load(path string) ([]runtime.Object, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	documents := utilyaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(text)))
	defer documents.Close()
	var objects []runtime.Object
	buffer := make([]byte, len(text)+1)
	for {
		n, err := documents.Read(buffer)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		content := buffer[:n]
		if only, err := utilyaml.ToJSON(content); err == nil && string(only) == "null" {
			continue // comments alone
		}
		object, _, err := decoder.Decode(content, nil, nil)
		if err != nil {
			return nil, fmt.Errorf("%s: document %d: %w", path, len(objects)+1, err)
		}
		objects = append(objects, object)
	}
}

// What the API server fills in when such a policy is created.
func withDefaults(objects []runtime.Object) []runtime.Object {
	for _, object := range objects {
		p, ok := object.(*admissionv1.ValidatingAdmissionPolicy)
		if !ok {
			continue
		}
		equivalent, all := admissionv1.Equivalent, admissionv1.AllScopes
		m := p.Spec.MatchConstraints
		m.MatchPolicy, m.NamespaceSelector, m.ObjectSelector = &equivalent, &metav1.LabelSelector{}, &metav1.LabelSelector{}
		for i := range m.ResourceRules {
			m.ResourceRules[i].Scope = &all
		}
	}
	return objects
}

// Kubernetes' own admission plugin over a cluster that consists of these objects.
type rig struct {
	plugin  *validating.Plugin
	objects admission.ObjectInterfaces
	stop    chan struct{}
}

func newRig(objects []runtime.Object) (*rig, error) {
	client := fake.NewClientset(withDefaults(objects)...)
	factory := informers.NewSharedInformerFactory(client, 0)
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Pod"), meta.RESTScopeNamespace)
	r := &rig{
		plugin:  validating.NewPlugin(nil),
		objects: admission.NewObjectInterfacesFromScheme(scheme.Scheme),
		stop:    make(chan struct{}),
	}
	nobody := authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
		return authorizer.DecisionDeny, "", nil
	})
	r.plugin.SetExternalKubeInformerFactory(factory)
	r.plugin.SetExternalKubeClientSet(client)
	r.plugin.SetRESTMapper(mapper)
	r.plugin.SetDynamicClient(dynamicfake.NewSimpleDynamicClient(scheme.Scheme))
	r.plugin.SetDrainedNotification(r.stop)
	r.plugin.SetAuthorizer(nobody)
	generic.SetPolicyRefreshIntervalForTests(10 * time.Millisecond)
	if err := r.plugin.ValidateInitialization(); err != nil {
		return nil, err
	}
	factory.Start(r.stop)
	factory.WaitForCacheSync(r.stop)
	if !r.plugin.WaitForReady() {
		return nil, errors.New("the admission plugin does not become ready")
	}
	return r, nil
}

func (r *rig) close() { close(r.stop) }

// Who asks for a token of which service account, and with what.
type ask struct {
	user      string
	extra     map[string][]string
	namespace string
	account   string
	request   *authenticationv1.TokenRequest
}

func (r *rig) attributes(a *ask) admission.Attributes {
	request := a.request.DeepCopy()
	if request.Spec.ExpirationSeconds == nil {
		hour := int64(3600) // the API server's default, which is there before admission
		request.Spec.ExpirationSeconds = &hour
	}
	return admission.NewAttributesRecord(request, nil,
		authenticationv1.SchemeGroupVersion.WithKind("TokenRequest"), a.namespace, a.account,
		corev1.SchemeGroupVersion.WithResource("serviceaccounts"), "token", admission.Create,
		&metav1.CreateOptions{}, false, &user.DefaultInfo{Name: a.user, Extra: a.extra})
}

// The refusal, or nil; and what the audit log gets.
func (r *rig) judge(a *ask) (error, map[string]string) {
	ctx := audit.WithAuditContext(context.Background())
	log := audit.AuditContextFrom(ctx)
	if err := log.Init(audit.RequestAuditConfig{Level: "Metadata"}, nil); err != nil {
		return err, nil
	}
	handler := admission.WithAudit(r.plugin).(admission.ValidationInterface)
	err := handler.Validate(ctx, r.attributes(a), r.objects)
	return err, log.GetEventAnnotations()
}

// Copies of the objects, with one rule of one policy taken out.
func without(objects []runtime.Object, policy string, rule int) []runtime.Object {
	var rest []runtime.Object
	for _, object := range objects {
		object = object.DeepCopyObject()
		if p, ok := object.(*admissionv1.ValidatingAdmissionPolicy); ok && p.Name == policy {
			p.Spec.Validations[rule].Expression = "true"
			p.Spec.Validations[rule].MessageExpression = ""
		}
		rest = append(rest, object)
	}
	return rest
}
