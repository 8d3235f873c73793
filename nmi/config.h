/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/opt.h"

#include <stdbool.h>
#include <stdint.h>

/* Every setting of the node agent; fields, defaults and help come from options.def. */
struct nmi_config {
#define X(type, ctype, name, field, letter, metavar, dflt, variable, group, help) ctype field;
#include "nmi/options.def"
#undef X
};

extern const struct opt_table nmi_options;

/* Of each setting, its row in the table. */
enum nmi_option {
#define X(type, ctype, name, field, letter, metavar, dflt, variable, group, help)                  \
	NMI_OPTION_##field,
#include "nmi/options.def"
#undef X
	NMI_OPTIONS
};

/* Is a change in the settings file taken up while the agent runs (reload.def)? */
bool nmi_config_is_live(const struct opt *o);
bool nmi_config_logs_json(const struct nmi_config *c);
bool nmi_config_is_verbose(const struct nmi_config *c);
/* Format and level of the log; and a warning about settings that are a risk. */
void nmi_config_set_log(const struct nmi_config *c);
void nmi_config_warn(const struct nmi_config *c);

/* What must hold for a setting beyond its type, and between settings. ERR_INPUT names the setting. */
int nmi_config_check(const struct nmi_config *c, struct err *err);

/* What the three retry settings of the old agent come to; at most an hour, once checked. */
unsigned nmi_config_named_wait_msec(const struct nmi_config *c);
unsigned nmi_config_assigned_wait_msec(const struct nmi_config *c);
bool nmi_config_is_managed(const struct nmi_config *c);
/* Are there packet rules of ours? Else the network plugin brings pods here. */
bool nmi_config_has_rules(const struct nmi_config *c);
/* Is each pod tied to its link? */
bool nmi_config_binds_links(const struct nmi_config *c);
