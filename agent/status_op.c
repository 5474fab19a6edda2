/*
 * {"op":"status"}: the agent itself, its mounts by their states, and the packages.
 */
#include <config.h>

#include <unistd.h>

#include "agent/agent.h"
#include "blob/base/cleanup.h"

/* {"ready":2, ...}: every state, also those that no mount is in. */
static json_t *count_states(const json_t *mounts)
{
	json_t *states = json_object(), *entry;
	size_t i;

	for (int s = MOUNT_MOUNTING; s <= MOUNT_FAILED; s++)
		json_object_set_new(states, mount_state_name((enum mount_state)s), json_integer(0));
	json_array_foreach(mounts, i, entry) {
		const char *name = json_string_value(json_object_get(entry, "state"));
		json_t *count = name ? json_object_get(states, name) : NULL;

		if (count)
			json_integer_set(count, json_integer_value(count) + 1);
	}
	return states;
}

json_t *status_op(struct agent *a, const struct caller *c, const json_t *request, struct err *err)
{
	json_int_t from = json_integer_value(json_object_get(request, "packages_from"));
	json_t *mounts = mount_entries(a, c);
	json_t *reply;

	reply = json_pack("{s:b, s:s, s:I, s:s, s:s, s:I, s:o, s:o}", "ok", true, "version",
			  PACKAGE_VERSION, "pid", (json_int_t)getpid(), "runtime_dir",
			  a->settings.runtime_dir, "since", a->since, "mounts",
			  (json_int_t)json_array_size(mounts), "mount_states", count_states(mounts),
			  "sync", package_sync_describe(a->sync, from > 0 ? (size_t)from : 0));
	json_decref(mounts);
	if (!reply)
		err_set(err, ERR_NO_MEMORY, "out of memory");
	return reply;
}
