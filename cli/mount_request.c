#include <config.h>

#include "cli/mount_request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/client.h"
#include "agent/options.h"
#include "blob/base/cleanup.h"
#include "blob/base/log.h"
#include "blob/ops.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "fs/job.h"

int mount_wish_check(const struct mount_wish *w, struct err *err)
{
	struct mount_options agents;

	if (w->snapshot && w->force)
		return err_set(err, ERR_USAGE,
			       "a snapshot needs no lease: it can't be had by force (leave one of the two out)");
	if (w->raw && w->partition)
		return err_set(err, ERR_USAGE, "raw shows the whole disk: a partition can't be chosen as well");
	if (mount_options_parse(w->options, &agents, err) < 0)
		return -1;
	mount_options_free(&agents);
	if (blob_check_container_name(w->container, err) < 0)
		return -1;
	if (w->blob)
		return blob_check_blob_name(w->blob, err);
	if (w->snapshot || w->force || w->raw || w->partition)
		return err_set(err, ERR_USAGE,
			       "snapshots, force, raw and partitions are for drives, not for a whole container");
	return 0;
}

char *absolute_path(const char *path, struct err *err)
{
	cleanup_free char *here = NULL;
	char *full = realpath(path, NULL);

	if (full)
		return full;
	if (errno != ENOENT) {
		err_set_errno(err, errno, "%s", path);
		return NULL;
	}
	/* Whoever needs it to be there says so, of the path in full. */
	here = *path == '/' ? strdup("") : getcwd(NULL, 0);
	if (here && asprintf(&full, "%s%s%s", here, *here ? "/" : "", path) >= 0)
		return full;
	err_set(err, ERR_NO_MEMORY, "out of memory");
	return NULL;
}

static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

static json_t *build_request(const struct mount_wish *w, const struct options *o, struct err *err)
{
	cleanup_free char *at = NULL;
	json_t *request;

	if (w->mountpoint) {
		at = absolute_path(w->mountpoint, err);
		if (!at) {
			err_prefix(err, "mount point");
			return NULL;
		}
	}
	request = json_pack("{ss so so so so so sb sb si so}", "op", "mount",
			    "account", account_to_json(w->account),
			    "container", text_or_null(w->container), "blob", text_or_null(w->blob),
			    "mountpoint", text_or_null(at), "snapshot", text_or_null(w->snapshot),
			    "force", w->force, "raw", w->raw, "partition", w->partition,
			    "options", text_or_null(w->options));
	if (!request)
		err_set(err, ERR_USAGE, "the names and options must be UTF-8");
	else if (o->count[OPT_VERBOSE])
		json_object_set_new(request, "log_level", json_integer(log_level()));
	return request;
}

/* Half closed: the agent undoes what it did, then answers, and we wait for that. */
static void cancel(void *arg)
{
	const int *fd = arg;

	if (*fd >= 0)
		shutdown(*fd, SHUT_WR);
}

static void show(void *arg, const char *text)
{
	progress_text(arg, text);
}

/* Connect, starting the agent if there is none. */
static int reach_agent(const struct mount_wish *w, const struct options *o, struct err *err)
{
	cleanup_free char *path = agent_socket_path(w->agent_socket, err);
	bool started = false;
	int fd;

	if (!path)
		return -1;
	fd = agent_connect(path, true, w->config, &started, err);
	if (fd >= 0 && started) {
		struct ucred peer = { .pid = 0 };
		socklen_t len = sizeof(peer);

		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
		cli_note(o, "started the node agent (pid %d)", (int)peer.pid);
	}
	return fd;
}

static json_t *ask(int fd, const struct mount_wish *w, const struct options *o, struct err *err)
{
	json_t *request = build_request(w, o, err), *reply;
	struct progress progress;

	if (!request)
		return NULL;
	progress_start(&progress, w->blob ? w->blob : w->container, !o->count[OPT_QUIET]);
	reply = agent_call(fd, request, show, &progress, err);
	progress_end(&progress);
	json_decref(request);
	return reply;
}

json_t *mount_request(const struct mount_wish *w, const struct options *o, int *signal,
		      struct err *err)
{
	cleanup_close int fd = reach_agent(w, o, err);
	json_t *reply, *entry = NULL;

	*signal = 0;
	if (fd < 0 || interrupt_start(cancel, &fd, err) < 0)
		return NULL;
	reply = ask(fd, w, o, err);
	interrupt_stop();
	*signal = interrupt_signal();
	if (reply) {
		entry = json_incref(json_object_get(reply, "mount"));
		*signal = 0;   /* it came too late */
	}
	if (reply && !json_is_object(entry)) {
		err_set(err, ERR_PROTOCOL, "the node agent's answer says nothing of the mount");
		json_decref(entry);
		entry = NULL;
	}
	json_decref(reply);
	return entry;
}
