/* SPDX-License-Identifier: MIT */

/*
 * Settings that change while the agent runs: see reload.h.
 *
 * Theory of operation
 *
 * A file must not be read while it is half written: half a file can be a valid one, with less strict settings. A
 * file that is renamed into place is whole. One that is written in place is taken to be whole when its writer
 * closes it; from the first write until then it is not read. Either way it is read a moment after the last event,
 * so that what comes together is read once. What was read is thrown away if by then, as the events tell that came
 * meanwhile, it is being written again. SIGHUP reads at once: whoever sends it says that the file is ready.
 *
 * Strings of the settings in use are borrowed from a struct nmi_settings: those that need a restart from the one
 * that the agent was started with, the live ones from the last that was taken over, which is kept in `latest`.
 */

#include "nmi/reload.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/metric.h"
#include "lib/loop/loop.h"
#include "nmi/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

/* After the last event of those that come together; an operator does not notice it. */
#define SETTLE_MSEC 100

/* The link of a ConfigMap volume to the directory that is current (kubelet's atomic_writer.go). */
#define DATA_LINK "..data"

#define WRITTEN_EVENTS (IN_CREATE | IN_MODIFY)
#define READY_EVENTS   (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB)
#define GONE_EVENTS    (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)

struct reload {
	struct loop *loop;
	struct reload_spec spec;
	struct nmi_settings *latest; /* NULL: nothing was taken over yet */
	char *waiting;		     /* NULL: nothing waits for a restart */
	char *told;		     /* of these, what the log has */
	bool had_host;		     /* the listener of /host/token was opened */

	char *dir;
	const char *name; /* of the file there; in spec.settings */
	int notify;	  /* -1: there is no file */
	int watch;	  /* -1: not watched */
	struct loop_fd source;
	struct loop_timer settle;
	bool is_written; /* somebody is writing to it */
};

/* comparing */

/* Its listener is opened at the start or never (front.c). */
static bool is_live(const struct reload *r, enum nmi_option i)
{
	return nmi_config_is_live(&nmi_options.opts[i]) &&
	       (i != NMI_OPTION_host_token || r->had_host);
}

/* Behind what is there already. */
static void put_name(FILE *f, const struct opt *o)
{
	fprintf(f, "%s%s", ftell(f) > 0 ? ", " : "", o->name);
}

/* "name old -> new" */
static void put_change(FILE *f, const struct opt *o, const struct nmi_config *was,
		       const struct nmi_config *is)
{
	put_name(f, o);
	fputc(' ', f);
	opt_print_value(o, was, f);
	fputs(" -> ", f);
	opt_print_value(o, is, f);
}

/* A text that is printed bit by bit. A mistake of stdio could only be that memory ran out. */
struct text {
	FILE *f;
	char *p;
	size_t n;
};

static void text_begin(struct text *t)
{
	*t = (struct text){ 0 };
	t->f = open_memstream(&t->p, &t->n);
	if (!t->f)
		out_of_memory();
}

/* On the heap; NULL: there is none. */
static char *text_end(struct text *t)
{
	if (fclose(t->f) != 0 || !t->p)
		out_of_memory();
	if (*t->p)
		return t->p;
	free(t->p);
	return NULL;
}

static char *list_changes(const struct reload *r, const struct nmi_config *to, bool live)
{
	const struct nmi_config *from = &r->spec.settings->config;
	struct text text;

	text_begin(&text);
	for (enum nmi_option i = 0; i < NMI_OPTIONS; i++)
		if (is_live(r, i) == live && !opt_is_same(&nmi_options.opts[i], from, to))
			put_change(text.f, &nmi_options.opts[i], from, to);
	return text_end(&text);
}

static char *list_names(const struct reload *r, const struct nmi_settings *s,
			bool (*is_in)(const struct reload *r, const struct nmi_settings *s,
				      enum nmi_option i))
{
	struct text text;

	text_begin(&text);
	for (enum nmi_option i = 0; i < NMI_OPTIONS; i++)
		if (is_in(r, s, i))
			put_name(text.f, &nmi_options.opts[i]);
	return text_end(&text);
}

static bool is_waiting(const struct reload *r, const struct nmi_settings *s, enum nmi_option i)
{
	return !is_live(r, i) &&
	       !opt_is_same(&nmi_options.opts[i], &r->spec.settings->config, &s->config);
}

static bool is_overridden(const struct reload *r, const struct nmi_settings *s, enum nmi_option i)
{
	return opt_file_find(&s->file, &nmi_options.opts[i]) && s->sources[i] != OPT_SOURCE_FILE;
}

/* taking over */

static const char *const results[] = { "changed", "unchanged", "failed" };

static void count(const struct reload *r, const char *result)
{
	metric_add(r->spec.metrics, NMI_METRIC_CONFIG_RELOADS, &result, 1);
}

static void take_over(struct reload *r, struct nmi_settings **fresh)
{
	struct nmi_settings *before = r->latest;

	r->latest = steal_ptr(*fresh);
	for (enum nmi_option i = 0; i < NMI_OPTIONS; i++)
		if (is_live(r, i))
			opt_copy(&nmi_options.opts[i], &r->spec.settings->config,
				 &r->latest->config);
	r->spec.apply(r->spec.ctx);
	(void)nmi_settings_free(before);
}

/* What was read is right by itself; is it also, as far as it is live, with what needs a restart? */
static int check_mixture(const struct reload *r, const struct nmi_settings *fresh, struct err *err)
{
	struct nmi_config mixture = r->spec.settings->config;

	for (enum nmi_option i = 0; i < NMI_OPTIONS; i++)
		if (is_live(r, i))
			opt_copy(&nmi_options.opts[i], &mixture, &fresh->config);
	return nmi_config_check(&mixture, err);
}

static struct nmi_settings *read_again(const struct reload *r, struct err *err)
{
	_cleanup_(nmi_settings_freep) struct nmi_settings *fresh = xnew(struct nmi_settings);
	enum opt_result what;

	fresh->argc = r->spec.settings->argc;
	fresh->argv = r->spec.settings->argv;
	if (nmi_settings_load(fresh, &what, err) < 0 || check_mixture(r, fresh, err) < 0)
		return NULL;
	return steal_ptr(fresh);
}

static void say(const struct reload *r, const char *why, const char *changes,
		const char *overridden)
{
	const struct log_field fields[] = {
		{ "because", why },
		{ "stronger_elsewhere", overridden },
	};

	if (changes)
		log_write(LOG_LEVEL_INFO, fields, ARRAY_SIZE(fields), "settings changed: %s",
			  changes);
	else
		log_write(LOG_LEVEL_INFO, fields, ARRAY_SIZE(fields),
			  "settings read again: nothing to change");
}

static void note_waiting(struct reload *r, const struct nmi_settings *fresh, const char *changes)
{
	if (changes && (!r->told || strcmp(changes, r->told) != 0))
		log_warn("settings changed that wait for a restart: %s", changes);
	else if (!changes && r->told)
		log_info("no setting waits for a restart any more");
	free(r->told);
	r->told = changes ? xstrdup(changes) : NULL;
	free(r->waiting);
	r->waiting = list_names(r, fresh, is_waiting);
}

static void watch(struct reload *r)
{
	/* IN_MASK_ADD is not set: asked for again, it stays one watch */
	r->watch = inotify_add_watch(r->notify, r->dir,
				     WRITTEN_EVENTS | READY_EVENTS | IN_DELETE_SELF | IN_MOVE_SELF |
					     IN_ONLYDIR);
	if (r->watch < 0)
		log_warn("a change of %s is not noticed by itself, SIGHUP is needed: watching %s: "
			 "%s",
			 r->spec.settings->config.config_file, r->dir, strerrordesc_np(errno));
}

static void read_events(struct reload *r);

enum { QUIETLY = 1, BY_ITSELF = 2 };

/* QUIETLY: where there is nothing to change, nothing is said. BY_ITSELF: nobody says that the file is whole. */
static void reread(struct reload *r, const char *why, unsigned how)
{
	_cleanup_(nmi_settings_freep) struct nmi_settings *fresh = NULL;
	_cleanup_free_ char *live = NULL, *rest = NULL, *overridden = NULL;
	struct err err = { 0 };

	loop_timer_del(&r->settle);
	if (!*r->spec.settings->config.config_file) {
		log_info("%s: there is no settings file (--config), so there are no settings to "
			 "read again",
			 why);
		return;
	}
	if (r->notify >= 0 && r->watch < 0)
		watch(r); /* its directory was gone */
	fresh = read_again(r, &err);
	if (how & BY_ITSELF) {
		read_events(r);
		if (r->is_written || r->settle.loop)
			return; /* it is read when that is done */
	}
	if (!fresh) {
		count(r, "failed");
		log_err("%s: all settings stay as they are: %s", why, err.msg);
		return;
	}
	live = list_changes(r, &fresh->config, true);
	rest = list_changes(r, &fresh->config, false);
	if (how & QUIETLY && !live && !rest)
		return;
	overridden = list_names(r, fresh, is_overridden);
	count(r, live ? "changed" : "unchanged");
	note_waiting(r, fresh, rest);
	if (live)
		take_over(r, &fresh);
	/* in the format, and at the level, that hold from now on */
	say(r, why, live, overridden);
}

void reload_now(struct reload *r, const char *why)
{
	reread(r, why, 0);
}

/* watching */

static void on_settled(struct loop_timer *t)
{
	struct reload *r = container_of(t, struct reload, settle);

	reread(r, "the file changed", BY_ITSELF);
}

static bool is_link(const struct reload *r, const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", r->dir, name);
	struct stat st;

	return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

static void settle(struct reload *r)
{
	r->is_written = false;
	loop_timer_set_msec(r->loop, &r->settle, SETTLE_MSEC, on_settled);
}

static void on_event(struct reload *r, const struct inotify_event *e)
{
	const char *name = e->len ? e->name : "";

	if (e->mask & IN_Q_OVERFLOW) {
		settle(r);
	} else if (e->mask & GONE_EVENTS) {
		if (e->wd != r->watch)
			return; /* the end of one that was given up */
		if (!(e->mask & IN_IGNORED))
			(void)inotify_rm_watch(r->notify, r->watch);
		r->watch = -1;
		log_warn("the directory of the settings file is gone: %s; once it is back, send "
			 "SIGHUP",
			 r->dir);
	} else if (strcmp(name, r->name) != 0 && strcmp(name, DATA_LINK) != 0) {
		return;
	} else if (e->mask & READY_EVENTS || ((e->mask & IN_CREATE) && is_link(r, name))) {
		/* chmod between two writes does not make it whole */
		if (!(e->mask & IN_ATTRIB && r->is_written))
			settle(r);
	} else {
		r->is_written = true;
		loop_timer_del(&r->settle);
	}
}

static void read_events(struct reload *r)
{
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n;

	/* inotify(7): an event is never cut */
	while ((n = read(r->notify, buf, sizeof(buf))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const void *)(buf + at);

			on_event(r, e);
			at += (ssize_t)(sizeof(*e) + e->len);
		}
	}
}

static void on_notify(struct loop_fd *f, uint32_t events)
{
	(void)events;
	read_events(container_of(f, struct reload, source));
}

static void start_watching(struct reload *r, const char *path)
{
	const char *slash = strrchr(path, '/');
	struct err err = { 0 };

	r->dir = !slash		 ? xstrdup(".")
		 : slash == path ? xstrdup("/")
				 : xstrndup(path, (size_t)(slash - path));
	r->name = slash ? slash + 1 : path;
	r->notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (r->notify < 0 ||
	    loop_fd_add(r->loop, &r->source, r->notify, EPOLLIN, on_notify, &err) < 0) {
		log_warn("changes of %s are not noticed by themselves, SIGHUP is needed: %s", path,
			 r->notify < 0 ? strerrordesc_np(errno) : err.msg);
		return;
	}
	watch(r);
}

struct reload *reload_new(struct loop *l, const struct reload_spec *spec)
{
	struct reload *r = xnew(struct reload);
	const struct nmi_config *c = &spec->settings->config;

	r->loop = l;
	r->spec = *spec;
	r->notify = r->watch = -1;
	r->had_host = strcasecmp(c->host_token, "off") != 0;
	/* there from the start, so that the first one is seen to be one more */
	for (size_t i = 0; i < ARRAY_SIZE(results); i++)
		metric_add(spec->metrics, NMI_METRIC_CONFIG_RELOADS, &results[i], 0);
	if (*c->config_file)
		start_watching(r, c->config_file);
	return r;
}

void reload_check(struct reload *r)
{
	const char *path = r->spec.settings->config.config_file;
	_cleanup_close_ int fd = *path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;

	if (!*path)
		return;
	if (fd >= 0)
		reread(r, "it changed during the start", QUIETLY);
	else
		log_warn("changed settings will not be seen: %s: %s, now that the agent runs as "
			 "--user=%s",
			 path, strerrordesc_np(errno), r->spec.settings->config.user);
}

const char *reload_waiting(const struct reload *r)
{
	return r->waiting;
}

struct reload *reload_free(struct reload *r)
{
	if (!r)
		return NULL;
	loop_timer_del(&r->settle);
	loop_fd_del(&r->source);
	if (r->notify >= 0)
		close(r->notify);
	(void)nmi_settings_free(r->latest);
	free(r->waiting);
	free(r->told);
	free(r->dir);
	free(r);
	return NULL;
}
