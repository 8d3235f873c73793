# SPDX-License-Identifier: MIT
#
# What will be different in this cluster once nmi is in the place of aad-pod-identity: an object a line, what changes for
# it, and what to do. Nothing printed: nothing that can be seen in objects. See docs/migrate-from-aad-pod-identity.md.
#
#	kubectl get azureidentities,azureidentitybindings,azurepodidentityexceptions,pods,nodes,daemonsets -A -o json |
#		jq -r -f deploy/migrate/before.jq

def name: "\(.metadata.namespace // "")/\(.metadata.name)" | ltrimstr("/");
def line($what; $differs; $do): "\(.kind | ascii_downcase) \(name): \($what): \($differs); \($do)";
# what Entra's clouds log in at; others only with --authority-host
def known_host: ascii_downcase | ltrimstr("https://") | split("/")[0] | IN("login.microsoftonline.com", "login.microsoft.com",
	"login.windows.net", "sts.windows.net", "login.microsoftonline.us", "login.usgovcloudapi.net", "login-us.microsoftonline.com",
	"login.partner.microsoftonline.cn", "login.chinacloudapi.cn", "login.sovcloud-identity.fr", "login.sovcloud-identity.de",
	"login.sovcloud-identity.sg");

(.items | map(select(.kind == "AzureIdentity"))) as $identities
| (.items | map(select(.kind == "AzureIdentityBinding"))) as $bindings
| .items[]
| if .kind == "AzureIdentity" then
	.metadata.namespace as $ns
	| (.spec.type // 0) as $type
	| if $type == 0 and (.spec.clientID // "") == "" then
		line("no clientID"; "it was the node's default identity, it is refused"; "set spec.clientID")
	  elif $type == 1 or $type == 2 then
		(.spec.clientPassword // {}) as $secret
		| if ($secret.name // "") == "" then
			line("no clientPassword.name"; "it is refused, as before"; "name its Secret, with small letters")
		  elif ($secret.namespace // $ns) != $ns then
			line("its Secret is in namespace \($secret.namespace)"; "it is refused";
				"move the Secret to \($ns), or set nmi.settings.secrets-across-namespaces and add \($secret.namespace) to rbac.secretNamespaces")
		  else
			line("a service principal"; "Secrets are read in named namespaces only"; "add \($ns) to rbac.secretNamespaces")
		  end
	  elif $type != 3 and $type != 0 then
		line("type \($type)"; "it is refused, as before"; "correct or delete it")
	  else empty end,
	  if ($type == 1 or $type == 2) and (.spec.adEndpoint // "") != "" and (.spec.adEndpoint | known_host | not) then
		line("adEndpoint \(.spec.adEndpoint)"; "it is refused"; "set nmi.settings.authority-host if it is right")
	  else empty end
  elif .kind == "AzureIdentityBinding" then
	.metadata.namespace as $ns
	| .spec.azureIdentity as $wanted
	| if (.spec.selector // "") == "" or (.spec.azureIdentity // "") == "" then
		line("no selector or no azureIdentity"; "it is ignored"; "complete or delete it")
	  elif ($identities | any(.metadata.namespace == $ns and .metadata.name == $wanted) | not) then
		line("there is no AzureIdentity \($wanted) in its namespace"; "it gives nothing, as before"; "correct or delete it")
	  else empty end
  elif .kind == "AzurePodIdentityException" then
	if (.spec.podLabels // {}) == {} then line("no podLabels"; "it is ignored"; "complete or delete it") else empty end
  elif .kind == "Pod" then
	.metadata.namespace as $ns
	| .metadata.labels.aadpodidbinding as $chosen_by
	| (if ($chosen_by // "") == "" then [] else $bindings | map(select(.spec.selector == $chosen_by)) end) as $all
	| ($all | map(select(.metadata.namespace == $ns))) as $here
	| if ($chosen_by // "") != "" and $all == [] then
		line("label \($chosen_by) of no binding"; "404 after a while becomes 400 at once"; "make the binding, or take the label off")
	  elif $all != [] and $here == [] then
		line("its binding is in namespace \($all[0].metadata.namespace)"; "served in standard mode only, as before";
			"move identity and binding to \($ns) before you go to managed mode")
	  elif ($here | length) > 1 then
		($here | max_by([.spec.weight // 0]) | .spec.weight // 0) as $top
		| ($here | map(select((.spec.weight // 0) == $top) | .spec.azureIdentity) | min) as $chosen
		| line("\($here | length) identities"; "an application that names none got any of them, and gets \($chosen)";
			"let it name a client id, or raise the weight of a binding")
	  else empty end,
	  if (.metadata.ownerReferences // [] | any(.kind == "ReplicaSet" and (.name | test("^mic"))))
		and (.spec.serviceAccountName // "default" | IN("aad-pod-id-mic-service-account", "aad-pod-identity-mic") | not) then
		line("a ReplicaSet of the name mic..."; "in the controller's namespace it had the node's identity, and has it no longer";
			"if it needs that, make an AzurePodIdentityException")
	  else empty end
  elif .kind == "Node" then
	if .status.nodeInfo.operatingSystem == "windows" then
		line("Windows"; "not served, as before"; "nothing to do")
	else empty end
  elif .kind == "DaemonSet" then
	if [.spec.template.spec.containers[]?.args[]?] | any(test("^--metadata-header-required=false$")) then
		line("--metadata-header-required=false"; "the same, with a warning"; "take it away once no application needs it")
	else empty end
  else empty end
