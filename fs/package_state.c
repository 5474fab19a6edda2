/* What a package's worker says of itself. */
#include <config.h>

#include "fs/package.h"

#include <stdio.h>
#include <string.h>

void package_report(struct worker *w, struct worker_report *out)
{
	struct package *p = package_of(w);
	char trouble[256] = "";

	if (p->refresher)
		refresher_trouble(p->refresher, trouble, sizeof(trouble));
	if (*trouble)
		worker_set(out, WORKER_DEGRADED, "%s", trouble);
	if (!p->only || !p->only->object)
		return;
	switch (object_lost(p->only->object)) {
	case ERR_NOT_FOUND:
		worker_set(out, WORKER_FAILED, "%s: the package is gone; unmount it", w->name);
		break;
	case ERR_CONDITION:
		worker_set(out, WORKER_FAILED, "%s: the package was replaced by another version; unmount it, and "
			   "mount it again", w->name);
		break;
	default:
		break;
	}
}

static uint64_t size_of(struct package *p)
{
	struct listing *l;
	uint64_t bytes = 0;

	if (p->only)
		return p->only->index.unpacked;
	if (!p->listing)
		return 0;
	l = package_listing(p);
	for (uint32_t i = 0; i < l->count; i++)
		if (l->nodes[i].item)
			bytes += ((const struct version *)l->nodes[i].item)->size;
	listing_unref(l);
	return bytes;
}

json_t *package_stats(struct worker *w)
{
	struct package *p = package_of(w);
	struct objects_stats objects = { .fetches = 0 };
	struct unpack_stats unpack = { .members = 0 };
	uint64_t requests, retries;

	worker_count_requests(w, &requests, &retries);
	if (p->objects)
		objects_stats(p->objects, &objects);
	if (p->unpack)
		unpack_stats(p->unpack, &unpack);
	return json_pack("{sI sI sI sI sI sI sI sI sI sI sI sI sI sI}",
			 "bytes_read", (json_int_t)atomic_load(&p->read_bytes), "bytes_written", (json_int_t)0,
			 "fetched", (json_int_t)objects.fetched_bytes, "stored", (json_int_t)0,
			 "requests", (json_int_t)requests, "retries", (json_int_t)retries,
			 "cache_size", (json_int_t)objects.cache_bytes,
			 "cache_used", (json_int_t)objects.cached_bytes, "dirty", (json_int_t)0,
			 "dropped", (json_int_t)0, "unpack_size", (json_int_t)unpack.bytes,
			 "unpack_used", (json_int_t)unpack.used,
			 "unpacked", (json_int_t)unpack.inflated_bytes,
			 "damaged", (json_int_t)unpack.damaged);
}

static void add_facts(struct package *p, json_t *obj)
{
	json_object_set_new(obj, "size", json_integer((json_int_t)size_of(p)));
	json_object_set_new(obj, "read_only", json_true());
	json_object_set_new(obj, "snapshot", json_null());
	json_object_set_new(obj, "snapshot_own", json_false());
}

void package_ready(struct worker *w, json_t *event)
{
	add_facts(package_of(w), event);
}

void package_status(struct worker *w, json_t *status)
{
	/* Once it closes there is nothing to count any more. */
	if (w->phase == WORKER_SERVING)
		add_facts(package_of(w), status);
	json_object_set_new(status, "lease", json_null());
}
