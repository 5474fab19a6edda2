/* The input is a package: its index, what the index promises, and its members. */
#include <config.h>

#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "pack/decoder.h"
#include "pack/utf8.h"

#define OUT_MAX (4u << 20) /* bytes that are decoded of one input */

static bool is_path(const char *path)
{
	size_t all = strlen(path), len;

	if (!all || all > 4095 || !utf8_valid(path, all))
		return false;
	for (;; path += len + 1) {
		len = strcspn(path, "/");
		if (!len || len > 255 || (len == 1 && *path == '.') || (len == 2 && !strncmp(path, "..", 2)))
			return false;
		if (!path[len])
			return true;
	}
}

static void check_entry(const struct pack_index *index, uint32_t i, size_t len)
{
	const struct pack_entry *e = &index->entries[i], *dir = &index->entries[e->parent];
	const char *name = pack_entry_name(e);

	must(is_path(e->path));
	must(e->end > i && e->end <= index->count);
	must(e->parent < i && dir->type == PACK_DIR && e->end <= dir->end);
	must(e->type == PACK_DIR || e->end == i + 1);
	must(pack_index_find(index, e->path) == (ssize_t)i);
	must(pack_index_child(index, e->parent, name, strlen(name)) == (ssize_t)i);
	must(e->mode <= 0777);
	if (e->type != PACK_DIR && !e->problem)
		must(e->header_offset <= len && e->span <= len - e->header_offset);
	free(pack_printable(e->path, strlen(e->path)));
}

static void decode(const struct pack_entry *e, struct pack_decoder *d, const uint8_t *data, uint64_t *left)
{
	static uint8_t out[4096 + 1];
	const uint8_t *in = data + e->header_offset;
	size_t in_len = (size_t)e->span, made;
	uint64_t all = 0;
	struct err err;
	enum pack_step step;

	do {
		step = pack_decoder_run(d, &in, &in_len, out, sizeof(out) - 1, &made, &err);
		must(made < sizeof(out));
		all += made;
		*left -= made < *left ? made : *left;
	} while (step == PACK_STEP_OUTPUT && *left);
	must(step != PACK_STEP_INPUT);
	must(all <= e->size);
	must(step != PACK_STEP_DONE || all == e->size);
	if (step == PACK_STEP_DONE && e->type == PACK_LINK && e->size == made) {
		out[made] = '\0';
		pack_link_stays(e->path, (char *)out);
	}
}

static void check_members(const struct pack_index *index, const uint8_t *data)
{
	uint64_t left = OUT_MAX;
	struct err err;

	for (uint32_t i = 1; i < index->count && left; i++) {
		const struct pack_entry *e = &index->entries[i];
		struct pack_decoder *d;

		if (e->type == PACK_DIR)
			continue;
		d = pack_decoder_new(e, "x", &err);
		must(!d == !!e->problem);
		if (d)
			decode(e, d, data, &left);
		pack_decoder_free(d);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct pack_limits limits = { .max_members = 2000, .max_directory = 1 << 20 };
	struct pack_memory mem;
	struct pack_index index;
	struct err err;

	pack_memory_init(&mem, "x", data, len);
	if (pack_index_open(&index, &mem.reader, &limits, &err) < 0) {
		must((err.code == ERR_FORMAT || err.code == ERR_UNSUPPORTED) && !strchr(err.msg, '\n'));
		return 0;
	}
	for (uint32_t i = 1; i < index.count; i++) {
		check_entry(&index, i, len);
		must(strcmp(index.entries[i - 1].path, index.entries[i].path) != 0);
	}
	if (pack_index_check(&index, "x", 256, 10, &err) < 0)
		must(!strchr(err.msg, '\n'));
	check_members(&index, data);
	pack_index_free(&index);
	return 0;
}
