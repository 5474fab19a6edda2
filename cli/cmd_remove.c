/* cmd_remove.c - hpcpack remove PACKAGE */
#include <config.h>

#include <string.h>

#include "cli/holder.h"
#include "cli/storage.h"

/* Put in words what keeps the service from deleting it. */
static void explain(const struct storage *s, const struct blob_ref *ref, struct err *err)
{
	char who[HOLDER_TEXT_MAX];
	struct blob_props props;

	if (!strcmp(err->service_code, "SnapshotsPresent"))
		err_set(err, ERR_BUSY,
			"%s/%s: has snapshots, which would go with it (SnapshotsPresent); unmount what is mounted of them, and delete them with the portal or az storage blob delete --delete-snapshots only",
			ref->container, ref->blob);
	if ((err->code != ERR_LEASE_LOST && err->code != ERR_LEASE_HELD) ||
	    blob_get_props(s->client, ref, &props, NULL) < 0)
		return;
	holder_text(&props.meta, who);
	err_set(err, ERR_LEASE_HELD, "%s/%s: is in use: %s; unmount it there first", ref->container,
		ref->blob, who);
	blob_props_free(&props);
}

static int run(const struct options *o)
{
	struct blob_ref ref;
	struct storage s;
	struct err err;
	int status = storage_open(&s, o);

	if (status)
		return status;
	status = storage_blob(&s, o->args[0], &ref);
	if (!status && blob_delete(s.client, &ref, NULL, &err) < 0) {
		explain(&s, &ref, &err);
		status = storage_fail(&s, &err);
	} else if (!status && !o->count[OPT_QUIET]) {
		printf("removed %s/%s/%s; nodes that have installed it keep it\n", s.account.name,
		       ref.container, ref.blob);
	}
	storage_close(&s);
	return status;
}

static const enum option_id ids[] = { OPTIONS_STORAGE, OPTIONS_COMMON, OPT_COUNT };

const struct command command_remove = {
	.name = "remove",
	.synopsis = "PACKAGE [OPTION]...",
	.summary = "remove a package, file or drive from storage",
	.options = ids,
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
