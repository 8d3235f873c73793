/* SPDX-License-Identifier: MIT */
#pragma once

/* What a kube-apiserver 1.32 really sends, for the parsers to be tried on; whole objects. */

/* clang-format off */
/* a running pod of /api/v1/pods */
static const char recorded_pod[] =
	"{\"metadata\":{\"name\":\"demo\",\"namespace\":\"my-app\",\"uid\":\"ca7af12c-398f-460f-8"
	"acb-b85f08d8419f\",\"resourceVersion\":\"227\",\"creationTimestamp\":\"2026-11-23T05:53:"
	"17Z\",\"labels\":{\"aadpodidbinding\":\"my-pod-identity\",\"app\":\"demo\"},\"annotation"
	"s\":{\"kubectl.kubernetes.io/last-applied-configuration\":\"{\\\"apiVersion\\\":\\\"v1\\"
	"\",\\\"kind\\\":\\\"Pod\\\",\\\"metadata\\\":{\\\"annotations\\\":{},\\\"labels\\\":{\\"
	"\"aadpodidbinding\\\":\\\"my-pod-identity\\\",\\\"app\\\":\\\"demo\\\"},\\\"name\\\":\\"
	"\"demo\\\",\\\"namespace\\\":\\\"my-app\\\"},\\\"spec\\\":{\\\"containers\\\":[{\\\"env"
	"\\\":[{\\\"name\\\":\\\"MY_POD_NAME\\\",\\\"valueFrom\\\":{\\\"fieldRef\\\":{\\\"fieldPa"
	"th\\\":\\\"metadata.name\\\"}}}],\\\"image\\\":\\\"registry.example/app:v1\\\",\\\"liven"
	"essProbe\\\":{\\\"httpGet\\\":{\\\"path\\\":\\\"/healthz\\\",\\\"port\\\":8080}},\\\"nam"
	"e\\\":\\\"main\\\",\\\"resources\\\":{\\\"requests\\\":{\\\"cpu\\\":\\\"10m\\\",\\\"memo"
	"ry\\\":\\\"16Mi\\\"}}}],\\\"nodeName\\\":\\\"aks-nodepool1-12345678-vmss000000\\\",\\\"s"
	"erviceAccountName\\\":\\\"demo-sa\\\"}}\\n\"},\"managedFields\":[{\"manager\":\"kubectl-"
	"client-side-apply\",\"operation\":\"Update\",\"apiVersion\":\"v1\",\"time\":\"2026-11-23"
	"T05:53:17Z\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:metadata\":{\"f:annotations\""
	":{\".\":{},\"f:kubectl.kubernetes.io/last-applied-configuration\":{}},\"f:labels\":{\"."
	"\":{},\"f:aadpodidbinding\":{},\"f:app\":{}}},\"f:spec\":{\"f:containers\":{\"k:{\\\"nam"
	"e\\\":\\\"main\\\"}\":{\".\":{},\"f:env\":{\".\":{},\"k:{\\\"name\\\":\\\"MY_POD_NAME\\"
	"\"}\":{\".\":{},\"f:name\":{},\"f:valueFrom\":{\".\":{},\"f:fieldRef\":{}}}},\"f:image\""
	":{},\"f:imagePullPolicy\":{},\"f:livenessProbe\":{\".\":{},\"f:failureThreshold\":{},\"f"
	":httpGet\":{\".\":{},\"f:path\":{},\"f:port\":{},\"f:scheme\":{}},\"f:periodSeconds\":{}"
	",\"f:successThreshold\":{},\"f:timeoutSeconds\":{}},\"f:name\":{},\"f:resources\":{\".\""
	":{},\"f:requests\":{\".\":{},\"f:cpu\":{},\"f:memory\":{}}},\"f:terminationMessagePath\""
	":{},\"f:terminationMessagePolicy\":{}}},\"f:dnsPolicy\":{},\"f:enableServiceLinks\":{},"
	"\"f:nodeName\":{},\"f:restartPolicy\":{},\"f:schedulerName\":{},\"f:securityContext\":{}"
	",\"f:serviceAccount\":{},\"f:serviceAccountName\":{},\"f:terminationGracePeriodSeconds\""
	":{}}}},{\"manager\":\"kubectl-patch\",\"operation\":\"Update\",\"apiVersion\":\"v1\",\"t"
	"ime\":\"2026-11-23T05:53:17Z\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:status\":{"
	"\"f:conditions\":{\".\":{},\"k:{\\\"type\\\":\\\"Ready\\\"}\":{\".\":{},\"f:lastProbeTim"
	"e\":{},\"f:lastTransitionTime\":{},\"f:status\":{},\"f:type\":{}}},\"f:hostIP\":{},\"f:p"
	"hase\":{},\"f:podIP\":{},\"f:podIPs\":{\".\":{},\"k:{\\\"ip\\\":\\\"10.244.0.5\\\"}\":{"
	"\".\":{},\"f:ip\":{}}},\"f:startTime\":{}}},\"subresource\":\"status\"}]},\"spec\":{\"co"
	"ntainers\":[{\"name\":\"main\",\"image\":\"registry.example/app:v1\",\"env\":[{\"name\":"
	"\"MY_POD_NAME\",\"valueFrom\":{\"fieldRef\":{\"apiVersion\":\"v1\",\"fieldPath\":\"metad"
	"ata.name\"}}}],\"resources\":{\"requests\":{\"cpu\":\"10m\",\"memory\":\"16Mi\"}},\"live"
	"nessProbe\":{\"httpGet\":{\"path\":\"/healthz\",\"port\":8080,\"scheme\":\"HTTP\"},\"tim"
	"eoutSeconds\":1,\"periodSeconds\":10,\"successThreshold\":1,\"failureThreshold\":3},\"te"
	"rminationMessagePath\":\"/dev/termination-log\",\"terminationMessagePolicy\":\"File\",\""
	"imagePullPolicy\":\"IfNotPresent\"}],\"restartPolicy\":\"Always\",\"terminationGracePeri"
	"odSeconds\":30,\"dnsPolicy\":\"ClusterFirst\",\"serviceAccountName\":\"demo-sa\",\"servi"
	"ceAccount\":\"demo-sa\",\"nodeName\":\"aks-nodepool1-12345678-vmss000000\",\"securityCon"
	"text\":{},\"schedulerName\":\"default-scheduler\",\"tolerations\":[{\"key\":\"node.kuber"
	"netes.io/not-ready\",\"operator\":\"Exists\",\"effect\":\"NoExecute\",\"tolerationSecond"
	"s\":300},{\"key\":\"node.kubernetes.io/unreachable\",\"operator\":\"Exists\",\"effect\":"
	"\"NoExecute\",\"tolerationSeconds\":300}],\"priority\":0,\"enableServiceLinks\":true,\"p"
	"reemptionPolicy\":\"PreemptLowerPriority\"},\"status\":{\"phase\":\"Running\",\"conditio"
	"ns\":[{\"type\":\"Ready\",\"status\":\"True\",\"lastProbeTime\":null,\"lastTransitionTim"
	"e\":null}],\"hostIP\":\"10.240.0.4\",\"podIP\":\"10.244.0.5\",\"podIPs\":[{\"ip\":\"10.2"
	"44.0.5\"}],\"startTime\":\"2026-11-23T05:00:00Z\",\"qosClass\":\"Burstable\"}}";

/* type 0, with the Behavior annotation */
static const char recorded_identity[] =
	"{\"apiVersion\":\"aadpodidentity.k8s.io/v1\",\"kind\":\"AzureIdentity\",\"metadata\":{\""
	"annotations\":{\"aadpodidentity.k8s.io/Behavior\":\"namespaced\",\"kubectl.kubernetes.io"
	"/last-applied-configuration\":\"{\\\"apiVersion\\\":\\\"aadpodidentity.k8s.io/v1\\\",\\"
	"\"kind\\\":\\\"AzureIdentity\\\",\\\"metadata\\\":{\\\"annotations\\\":{\\\"aadpodidenti"
	"ty.k8s.io/Behavior\\\":\\\"namespaced\\\"},\\\"name\\\":\\\"my-pod-identity\\\",\\\"name"
	"space\\\":\\\"my-app\\\"},\\\"spec\\\":{\\\"clientID\\\":\\\"22222222-2222-2222-2222-222"
	"222222222\\\",\\\"resourceID\\\":\\\"/subscriptions/11111111-1111-1111-1111-111111111111"
	"/resourcegroups/myIdentityResourceGroup/providers/Microsoft.ManagedIdentity/userAssigned"
	"Identities/application-identity\\\",\\\"type\\\":0}}\\n\"},\"creationTimestamp\":\"2026-"
	"11-23T05:53:17Z\",\"generation\":1,\"managedFields\":[{\"apiVersion\":\"aadpodidentity.k"
	"8s.io/v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:metadata\":{\"f:annotations\":{"
	"\".\":{},\"f:aadpodidentity.k8s.io/Behavior\":{},\"f:kubectl.kubernetes.io/last-applied-"
	"configuration\":{}}},\"f:spec\":{\".\":{},\"f:clientID\":{},\"f:resourceID\":{},\"f:type"
	"\":{}}},\"manager\":\"kubectl-client-side-apply\",\"operation\":\"Update\",\"time\":\"20"
	"26-11-23T05:53:17Z\"}],\"name\":\"my-pod-identity\",\"namespace\":\"my-app\",\"resourceV"
	"ersion\":\"235\",\"uid\":\"d73ce19a-9b54-4dcf-9664-221d67b8d4df\"},\"spec\":{\"clientID"
	"\":\"22222222-2222-2222-2222-222222222222\",\"resourceID\":\"/subscriptions/11111111-111"
	"1-1111-1111-111111111111/resourcegroups/myIdentityResourceGroup/providers/Microsoft.Mana"
	"gedIdentity/userAssignedIdentities/application-identity\",\"type\":0}}";

/* type 1 */
static const char recorded_identity_secret[] =
	"{\"apiVersion\":\"aadpodidentity.k8s.io/v1\",\"kind\":\"AzureIdentity\",\"metadata\":{\""
	"annotations\":{\"kubectl.kubernetes.io/last-applied-configuration\":\"{\\\"apiVersion\\"
	"\":\\\"aadpodidentity.k8s.io/v1\\\",\\\"kind\\\":\\\"AzureIdentity\\\",\\\"metadata\\\":"
	"{\\\"annotations\\\":{},\\\"name\\\":\\\"sp-secret\\\",\\\"namespace\\\":\\\"my-app\\\"}"
	",\\\"spec\\\":{\\\"clientID\\\":\\\"44444444-4444-4444-4444-444444444444\\\",\\\"clientP"
	"assword\\\":{\\\"name\\\":\\\"sp-secret\\\",\\\"namespace\\\":\\\"my-app\\\"},\\\"tenant"
	"ID\\\":\\\"33333333-3333-3333-3333-333333333333\\\",\\\"type\\\":1}}\\n\"},\"creationTim"
	"estamp\":\"2026-11-23T05:53:17Z\",\"generation\":1,\"managedFields\":[{\"apiVersion\":\""
	"aadpodidentity.k8s.io/v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:metadata\":{\"f"
	":annotations\":{\".\":{},\"f:kubectl.kubernetes.io/last-applied-configuration\":{}}},\"f"
	":spec\":{\".\":{},\"f:clientID\":{},\"f:clientPassword\":{\".\":{},\"f:name\":{},\"f:nam"
	"espace\":{}},\"f:tenantID\":{},\"f:type\":{}}},\"manager\":\"kubectl-client-side-apply\""
	",\"operation\":\"Update\",\"time\":\"2026-11-23T05:53:17Z\"}],\"name\":\"sp-secret\",\"n"
	"amespace\":\"my-app\",\"resourceVersion\":\"236\",\"uid\":\"c367c7a0-cc00-423f-a538-3e0e"
	"03d74263\"},\"spec\":{\"clientID\":\"44444444-4444-4444-4444-444444444444\",\"clientPass"
	"word\":{\"name\":\"sp-secret\",\"namespace\":\"my-app\"},\"tenantID\":\"33333333-3333-33"
	"33-3333-333333333333\",\"type\":1}}";

/* of my-pod-identity */
static const char recorded_binding[] =
	"{\"apiVersion\":\"aadpodidentity.k8s.io/v1\",\"kind\":\"AzureIdentityBinding\",\"metadat"
	"a\":{\"annotations\":{\"kubectl.kubernetes.io/last-applied-configuration\":\"{\\\"apiVer"
	"sion\\\":\\\"aadpodidentity.k8s.io/v1\\\",\\\"kind\\\":\\\"AzureIdentityBinding\\\",\\\""
	"metadata\\\":{\\\"annotations\\\":{},\\\"name\\\":\\\"my-pod-identity-binding\\\",\\\"na"
	"mespace\\\":\\\"my-app\\\"},\\\"spec\\\":{\\\"azureIdentity\\\":\\\"my-pod-identity\\\","
	"\\\"selector\\\":\\\"my-pod-identity\\\"}}\\n\"},\"creationTimestamp\":\"2026-11-23T05:5"
	"3:17Z\",\"generation\":1,\"managedFields\":[{\"apiVersion\":\"aadpodidentity.k8s.io/v1\""
	",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:metadata\":{\"f:annotations\":{\".\":{},"
	"\"f:kubectl.kubernetes.io/last-applied-configuration\":{}}},\"f:spec\":{\".\":{},\"f:azu"
	"reIdentity\":{},\"f:selector\":{}}},\"manager\":\"kubectl-client-side-apply\",\"operatio"
	"n\":\"Update\",\"time\":\"2026-11-23T05:53:17Z\"}],\"name\":\"my-pod-identity-binding\","
	"\"namespace\":\"my-app\",\"resourceVersion\":\"237\",\"uid\":\"ca913279-e6a4-4fdc-83d9-e"
	"e0b48e1d0e1\"},\"spec\":{\"azureIdentity\":\"my-pod-identity\",\"selector\":\"my-pod-ide"
	"ntity\"}}";

/* the one that the chart installs */
static const char recorded_exception[] =
	"{\"apiVersion\":\"aadpodidentity.k8s.io/v1\",\"kind\":\"AzurePodIdentityException\",\"me"
	"tadata\":{\"annotations\":{\"kubectl.kubernetes.io/last-applied-configuration\":\"{\\\"a"
	"piVersion\\\":\\\"aadpodidentity.k8s.io/v1\\\",\\\"kind\\\":\\\"AzurePodIdentityExceptio"
	"n\\\",\\\"metadata\\\":{\\\"annotations\\\":{},\\\"name\\\":\\\"aks-addon-exception\\\","
	"\\\"namespace\\\":\\\"kube-system\\\"},\\\"spec\\\":{\\\"podLabels\\\":{\\\"kubernetes.a"
	"zure.com/managedby\\\":\\\"aks\\\"}}}\\n\"},\"creationTimestamp\":\"2026-11-23T05:53:17Z"
	"\",\"generation\":1,\"managedFields\":[{\"apiVersion\":\"aadpodidentity.k8s.io/v1\",\"fi"
	"eldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:metadata\":{\"f:annotations\":{\".\":{},\"f:ku"
	"bectl.kubernetes.io/last-applied-configuration\":{}}},\"f:spec\":{\".\":{},\"f:podLabels"
	"\":{\".\":{},\"f:kubernetes.azure.com/managedby\":{}}}},\"manager\":\"kubectl-client-sid"
	"e-apply\",\"operation\":\"Update\",\"time\":\"2026-11-23T05:53:17Z\"}],\"name\":\"aks-ad"
	"don-exception\",\"namespace\":\"kube-system\",\"resourceVersion\":\"240\",\"uid\":\"57fc"
	"f6c9-02ef-416f-844e-a743338f1072\"},\"spec\":{\"podLabels\":{\"kubernetes.azure.com/mana"
	"gedby\":\"aks\"}}}";
/* clang-format on */
