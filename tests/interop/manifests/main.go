// SPDX-License-Identifier: MIT

// Whether the API server would take the objects on stdin: usage: manifests [-table [-wide]] [CRD.yaml...] <OBJECTS.yaml
//
// Kubernetes' own kinds are decoded as strictly as with `kubectl --validate=strict`: an unknown or doubled field, or
// a value of the wrong type, is an error. Custom resources go through the schemas of the CRDs that were named, and a CRD
// through Kubernetes' own rules for CRDs. One line for each object, "KIND NAMESPACE/NAME"; errors on stderr, exit status 1.
// With -table instead what `kubectl get`, or with -wide `kubectl get -o wide`, shows of a custom resource, by the API server's
// own conversion and kubectl's own printer.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	extensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/kubernetes/scheme"
	sigsyaml "sigs.k8s.io/yaml"
)

// A kind that a CRD brings.
type custom struct {
	check   validation.SchemaValidator
	fields  *structural.Structural
	columns []extensionsv1.CustomResourceColumnDefinition
}

var (
	customs = map[schema.GroupVersionKind]custom{}
	strict  runtime.Decoder
	inner   = runtime.NewScheme()

	table = flag.Bool("table", false, "print as kubectl does")
	wide  = flag.Bool("wide", false, "as with -o wide")
)

func readCRD(crd *extensionsv1.CustomResourceDefinition) error {
	in := &apiextensions.CustomResourceDefinition{}
	inner.Default(crd)
	if err := inner.Convert(crd, in, nil); err != nil {
		return err
	}
	if errs := crdvalidation.ValidateCustomResourceDefinition(context.Background(), in); len(errs) > 0 {
		return errs.ToAggregate()
	}
	for i, v := range in.Spec.Versions {
		props, err := apiextensions.GetSchemaForVersion(in, v.Name)
		if err != nil {
			return err
		}
		check, _, err := validation.NewSchemaValidator(props.OpenAPIV3Schema)
		if err != nil {
			return err
		}
		fields, err := structural.NewStructural(props.OpenAPIV3Schema)
		if err != nil {
			return err
		}
		customs[schema.GroupVersionKind{Group: in.Spec.Group, Version: v.Name, Kind: in.Spec.Names.Kind}] = custom{
			check, fields, crd.Spec.Versions[i].AdditionalPrinterColumns}
	}
	return nil
}

func takeCustom(c custom, doc []byte) (metav1.Object, error) {
	u := &unstructured.Unstructured{}
	if err := sigsyaml.UnmarshalStrict(doc, &u.Object); err != nil {
		return nil, err
	}
	if errs := validation.ValidateCustomResource(nil, u.UnstructuredContent(), c.check); len(errs) > 0 {
		return u, errs.ToAggregate()
	}
	unknown := pruning.PruneWithOptions(u.DeepCopy().Object, c.fields, true, structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	if len(unknown) > 0 {
		return u, fmt.Errorf("unknown fields %v", unknown)
	}
	return u, nil
}

func printRow(c custom, u *unstructured.Unstructured) error {
	columns := c.columns
	if len(columns) == 0 { // what a CRD without any gets
		columns = []extensionsv1.CustomResourceColumnDefinition{
			{Name: "Age", Type: "date", JSONPath: ".metadata.creationTimestamp"}}
	}
	convertor, err := tableconvertor.New(columns)
	if err != nil {
		return err
	}
	rows, err := convertor.ConvertToTable(context.Background(), u, nil)
	if err != nil {
		return err
	}
	return printers.NewTablePrinter(printers.PrintOptions{Wide: *wide}).PrintObj(rows, os.Stdout)
}

func take(doc []byte) (string, error) {
	var head metav1.TypeMeta
	if err := sigsyaml.Unmarshal(doc, &head); err != nil {
		return "", err
	}
	var o metav1.Object
	var err error
	if c, known := customs[head.GroupVersionKind()]; known {
		o, err = takeCustom(c, doc)
		if *table && err == nil {
			return "", printRow(c, o.(*unstructured.Unstructured))
		}
	} else {
		var decoded runtime.Object
		if decoded, _, err = strict.Decode(doc, nil, nil); err == nil {
			o, err = meta.Accessor(decoded)
		}
		if crd, is := decoded.(*extensionsv1.CustomResourceDefinition); is && err == nil {
			err = readCRD(crd)
		}
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", head.Kind, err)
	}
	return fmt.Sprintf("%s %s/%s", head.Kind, o.GetNamespace(), o.GetName()), nil
}

// How many were wrong.
func takeAll(in io.Reader, name string, told bool) (wrong int) {
	docs := yaml.NewYAMLReader(bufio.NewReader(in))
	for {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return wrong
		}
		var any map[string]any
		if err == nil && sigsyaml.Unmarshal(doc, &any) == nil && len(any) == 0 {
			continue // comments
		}
		var said string
		if err == nil {
			said, err = take(doc)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			wrong++
		} else if told && !*table {
			fmt.Println(said)
		}
	}
}

func main() {
	flag.Parse()
	install.Install(inner)
	for _, add := range []func(*runtime.Scheme) error{extensionsv1.AddToScheme, monitoringv1.AddToScheme} {
		if err := add(scheme.Scheme); err != nil {
			panic(err)
		}
	}
	strict = serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	wrong := 0
	for _, name := range flag.Args() {
		f, err := os.Open(name)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		wrong += takeAll(f, name, false)
	}
	if wrong += takeAll(os.Stdin, "stdin", true); wrong > 0 {
		os.Exit(1)
	}
}
