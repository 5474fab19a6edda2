/*
 * index_priv.h - how an index is made; for pack/index*.c only.
 *
 * index.c reads the directory record by record, and the steps below turn its
 * members into entries. Until index_tree() has run an entry of `members` is not
 * complete: `path` is its name as text, `parent` its number in the directory, and
 * `end` the length of its raw name.
 */
#ifndef HPCPACK_PACK_INDEX_PRIV_H
#define HPCPACK_PACK_INDEX_PRIV_H

#include "pack/arena.h"
#include "pack/index.h"

/* Bytes of a part of a path, and of a path. */
#define PART_MAX 255u
#define PATH_LEN_MAX 4095u

/* Where the directory is. Offsets are in the reader. */
struct zip_end {
	uint64_t directory_offset, directory_size;
	uint64_t count;      /* of members, as it claims */
	uint64_t data_start; /* bytes in front of the archive */
	bool zip64;          /* has a zip64 record, so that count is all of it */
	uint8_t *tail;       /* what was read on the way: from tail_start to the end */
	uint64_t tail_start;
};

/* One read in the usual case. out->tail is the caller's to free. */
int index_find_end(struct zip_end *out, const struct pack_reader *reader, struct err *err);

/* One record of the directory. Pointers point into it. */
struct zip_member {
	uint64_t size, packed_size, offset; /* of the header, from the archive's start */
	uint32_t crc, attributes;
	uint16_t flags, method, dos_time, dos_date;
	uint16_t name_len, extra_len;
	uint8_t host;                       /* that wrote the attributes; 3: Unix */
	bool broken;                        /* a zip64 number is missing, or another disk's */
	const uint8_t *name, *extra;
};

/* Bytes of the record at p; 0: it is longer than len; -1: there is none. */
ssize_t zip_member_parse(struct zip_member *m, const uint8_t *p, size_t len);

/* The data of extra field `id`, or NULL. */
const uint8_t *zip_member_extra(const struct zip_member *m, uint16_t id, size_t *len);

/* What of a member does not depend on its name or on others: type, mode, time... */
void zip_member_to_entry(const struct zip_member *m, struct pack_entry *e);
/* A type that can't be extracted. */
bool zip_member_is_special(const struct zip_member *m);

struct builder {
	struct pack_index *index;
	struct arena *arena;
	struct zip_end end;
	struct pack_limits limits;
	const char *name;           /* of the package, for messages */
	struct pack_entry *members;
	uint32_t count, size;
};

/* The member's name as UTF-8, fresh in the arena. NULL: out of memory. */
const char *index_text(struct arena *arena, const struct zip_member *m);

/* Put it among the index's bad ones. `raw` need not be UTF-8. 0 or -1. */
int index_add_bad(struct pack_index *index, const char *raw, size_t len, enum pack_problem problem);

/* Make paths of the texts; members that have none become bad. */
int index_paths(struct builder *b, struct err *err);

/* Find what is wrong with the data of members. */
int index_data(struct builder *b, struct err *err);

/* Fill index->entries. */
int index_tree(struct builder *b, struct err *err);

/* Order of paths: '/' before every other byte. */
int index_path_cmp(const char *a, const char *b);

int index_no_memory(const struct builder *b, struct err *err);

#endif
