// SPDX-License-Identifier: MIT

// The manifests of deploy/cilium, judged by the schemas that releases of Cilium bring to a cluster, with the code by
// which an API server judges: what it refuses, and what it drops because it does not know it.
//
// usage: cilium (VERSION=DIRECTORY-OF-CRDS | VERSION!DIRECTORY)... -- MANIFEST...
// With ! the version is one too old: each manifest has to fail.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

var count, failed int

func tell(good bool, sentence string, seen []string) {
	count++
	if good {
		fmt.Printf("ok %d - %s\n", count, sentence)
		return
	}
	failed++
	fmt.Printf("not ok %d - %s\n", count, sentence)
	for _, s := range seen {
		fmt.Printf("#   %s\n", s)
	}
}

func bail(err error) {
	if err != nil {
		fmt.Printf("Bail out! %v\n", err)
		os.Exit(1)
	}
}

func load(path string) map[string]any {
	text, err := os.ReadFile(path)
	bail(err)
	object := map[string]any{}
	bail(yaml.UnmarshalStrict(text, &object))
	return object
}

// The schema of a manifest's kind and version; nil when the release has none.
func find(directory string, object map[string]any) *apiextensions.CustomResourceDefinition {
	files, err := filepath.Glob(directory + "/*/*.yaml")
	bail(err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		bail(err)
		var crd v1.CustomResourceDefinition
		bail(yaml.Unmarshal(text, &crd))
		var internal apiextensions.CustomResourceDefinition
		if crd.Spec.Names.Kind == object["kind"] {
			bail(v1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&crd, &internal, nil))
			return &internal
		}
	}
	return nil
}

// What a server would object to, or drop.
func faults(directory string, object map[string]any) (list []string) {
	crd := find(directory, object)
	if crd == nil {
		return []string{fmt.Sprintf("no kind %v", object["kind"])}
	}
	for _, version := range crd.Spec.Versions {
		if crd.Spec.Group+"/"+version.Name != object["apiVersion"] || !version.Served {
			continue
		}
		of := version.Schema
		if of == nil {
			of = crd.Spec.Validation
		}
		structural, err := schema.NewStructural(of.OpenAPIV3Schema)
		bail(err)
		validator, _, err := validation.NewSchemaValidator(of.OpenAPIV3Schema)
		bail(err)
		for _, fault := range validation.ValidateCustomResource(nil, object, validator) {
			list = append(list, fault.Error())
		}
		rules := cel.NewValidator(structural, true, celconfig.PerCallLimit)
		broken, _ := rules.Validate(context.Background(), nil, structural, object, nil, celconfig.RuntimeCELCostBudget)
		for _, fault := range broken {
			list = append(list, fault.Error())
		}
		options := schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
		for _, path := range pruning.PruneWithOptions(object, structural, true, options) {
			list = append(list, "unknown: "+path)
		}
		return list
	}
	return []string{fmt.Sprintf("no version %v", object["apiVersion"])}
}

func spoil(object map[string]any) {
	for _, key := range []string{"spec", "specs"} {
		switch part := object[key].(type) {
		case map[string]any:
			part["redirectFrontends"] = part["redirectFrontend"]
		case []any:
			part[0].(map[string]any)["egressDenied"] = true
		}
	}
}

func main() {
	releases, manifests, found := strings.Cut(strings.Join(os.Args[1:], "\n"), "\n--\n")
	if !found {
		bail(fmt.Errorf("usage: cilium VERSION=DIRECTORY... -- MANIFEST..."))
	}
	for _, manifest := range strings.Split(manifests, "\n") {
		name := filepath.Base(manifest)
		for _, release := range strings.Split(releases, "\n") {
			if version, directory, old := strings.Cut(release, "!"); old {
				list := faults(directory, load(manifest))
				tell(len(list) > 0, fmt.Sprintf("%s is not for Cilium %s: %s", name, version, strings.Join(list, ", ")), list)
				continue
			}
			version, directory, _ := strings.Cut(release, "=")
			list := faults(directory, load(manifest))
			tell(len(list) == 0, fmt.Sprintf("Cilium %s takes %s as it is", version, name), list)
			spoiled := load(manifest)
			spoil(spoiled)
			tell(len(faults(directory, spoiled)) > 0, "and not with a field that it does not know", nil)
		}
	}
	fmt.Printf("1..%d\n", count)
	if failed > 0 {
		os.Exit(1)
	}
}
