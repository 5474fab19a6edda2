/*
 * index.h - what is in a zip or OPC package, from its central directory alone.
 *
 * The central directory is the truth (APPNOTE 4.3.12 to 4.3.16); local headers are
 * only looked at when a member is read (pack/decoder.h). Understood: zip64, bytes in
 * front of and behind the archive, data descriptors, UTF-8 names (flag bit 11, or
 * the 0x7075 extra field where its CRC fits), names without that flag that are valid
 * UTF-8, else CP437; Unix modes, symlinks, extended and NTFS timestamps, else DOS
 * times taken as UTC.
 *
 * libzip does not do this job: it does not tell where a member lies, which reading
 * in parallel by ranges needs, nor find archives behind other bytes. It writes our
 * packages (pack/create.h), and the tests compare this index with its view.
 *
 * Everything here is hostile until proved otherwise. Memory is bounded by the
 * limits; nothing recurses.
 *
 * Entries are sorted so that a directory stands before what is in it and its whole
 * content directly follows: by path, '/' before every other byte. Entry 0 is the
 * root, path "". Directories that are only implied by a name have an entry as well.
 * Children of directory d: e = d + 1; while e < entries[d].end: e is a child; e =
 * entries[e].end.
 *
 * Threads: an index does not change after it was opened; any number may read it.
 */
#ifndef HPCPACK_PACK_INDEX_H
#define HPCPACK_PACK_INDEX_H

#include <stdbool.h>
#include <sys/types.h>

#include "pack/reader.h"

enum pack_type { PACK_FILE, PACK_DIR, PACK_LINK };

/* Why a member can't be used as it says. The first group is about names: such a
 * member has no entry (it is among the index's `bad` ones). The second is about
 * data: the entry is there, but reading it is refused. */
enum pack_problem {
	PACK_OK,
	PACK_NAME_EMPTY,
	PACK_NAME_ABSOLUTE,      /* leading '/', '\' or a drive letter */
	PACK_NAME_DOTDOT,        /* a part "..", also behind '\' */
	PACK_NAME_BYTES,         /* NUL; in OPC packages '\\', or a broken or forbidden escape */
	PACK_NAME_LONG,          /* a part over 255 bytes, a path over 4095 */
	PACK_NAME_TWICE,         /* the same path again: the first one counts */
	PACK_NAME_CONFLICT,      /* a file where another member needs a directory */
	PACK_NAME_SPECIAL,       /* a device or socket by its mode */
	PACK_DATA_ENCRYPTED,
	PACK_DATA_METHOD,        /* neither stored nor deflated */
	PACK_DATA_OUTSIDE,       /* not within the archive, in front of the directory */
	PACK_DATA_OVERLAP,       /* shares bytes with another member */
	PACK_DATA_LIES,          /* sizes that can't be: stored and unequal, more than
	                          * deflate can yield, a directory with data */
	PACK_DATA_PIECE,         /* an interleaved OPC part */
};
/* "its name leads out of the package"...: for messages and logs. */
const char *pack_problem_text(enum pack_problem p);

struct pack_entry {
	const char *path;        /* decoded, no leading or final '/'; valid UTF-8 */
	uint64_t header_offset;  /* of the local header, in the reader */
	uint64_t span;           /* bytes from there that can be its own: header, data,
	                          * descriptor; up to the next member or the directory */
	uint64_t packed_size, size;  /* bytes */
	int64_t mtime;           /* seconds since 1970; 0 where it makes no sense */
	uint32_t crc;            /* CRC-32 of the content */
	uint32_t parent;         /* entry number of its directory; of the root: 0 */
	uint32_t end;            /* one past the last entry below it; e + 1 for files */
	uint16_t method;         /* 0 stored, 8 deflate */
	uint16_t mode;           /* permissions, 0777 at most; 0644, 0755 where it says none */
	uint8_t type;            /* enum pack_type */
	uint8_t problem;         /* enum pack_problem, of the second group */
	bool own;                /* one of OPC's own items (pack/opc_name.h), or a
	                          * directory with nothing else below it */
	bool implied;            /* a directory that has no member of its own */
	bool descriptor;         /* sizes and CRC stand behind the data, too (bit 3) */
};

/* So many of the bad members are kept with their names. */
#define PACK_BAD_KEPT 1000u

struct pack_bad {
	char *name;              /* raw, made printable for messages */
	enum pack_problem problem;
};

/* Below so many bytes unpacked no ratio is suspicious. */
#define PACK_RATIO_FREE (64ull << 20)

struct pack_limits {
	uint64_t max_members;    /* 0: 4,000,000 */
	uint64_t max_directory;  /* bytes of the central directory; 0: 1 GiB */
	uint64_t max_unpacked;   /* bytes of all members that can be read; 0: no limit */
	uint64_t max_ratio;      /* unpacked to packed, of these together, where they are
	                          * more than PACK_RATIO_FREE; 0: no limit */
};

struct pack_index {
	struct pack_entry *entries;
	uint32_t count;
	struct pack_bad *bad;    /* members without an entry, the first PACK_BAD_KEPT */
	uint32_t bad_count;      /* how many there were, perhaps more than are kept */
	uint32_t member_count;   /* in the central directory */
	uint32_t file_count;     /* files and links that are not OPC's own */
	uint64_t unpacked;       /* bytes of those that can be read */
	uint64_t data_start;     /* where the archive begins (bytes in front of it) */
	uint64_t directory_offset, directory_size;
	bool opc;                /* has [Content_Types].xml at its root (any case) */
	bool zip64;
	void *arena;             /* owner of the paths */
};

/*
 * Read the index: the end of the package and the central directory, in a few large
 * reads. ERR_FORMAT: not a zip, truncated, or a directory that makes no sense;
 * ERR_UNSUPPORTED: split over several disks, or beyond the limits. Names are decoded
 * as part names if it is an OPC package, else taken as they are. `limits` may be
 * NULL.
 */
int pack_index_open(struct pack_index *out, const struct pack_reader *reader,
		    const struct pack_limits *limits, struct err *err);
void pack_index_free(struct pack_index *index);

/*
 * Nothing in it is bad: what installing asks for. -1, ERR_FORMAT (ERR_UNSUPPORTED for
 * encrypted members and unknown methods), naming the first bad member, what is wrong,
 * and how many more there are. `max_path`: bytes that a path may have, as `prefix`
 * bytes and '/' in front of it (0: no limit of ours).
 */
int pack_index_check(const struct pack_index *index, const char *name, size_t max_path,
		     size_t prefix, struct err *err);

/* The entry number at this path ("" is 0), or -1. */
ssize_t pack_index_find(const struct pack_index *index, const char *path);

/* The child of directory `dir` with this name, or -1. */
ssize_t pack_index_child(const struct pack_index *index, uint32_t dir, const char *name, size_t len);

/* The last part of the path. */
const char *pack_entry_name(const struct pack_entry *e);

/* A name for messages and logs: on one line, at most some 200 bytes, without control
 * characters. A fresh string; NULL when out of memory. */
char *pack_printable(const char *name, size_t len);

/* True if a symlink at `path` with this target stays within the tree, as far as the
 * text says: relative, and never above the root on the way. A ".." behind a name leads
 * elsewhere if that name is a link itself: see pack_link_inside(). */
bool pack_link_stays(const char *path, const char *target);

/* True if it stays there whatever the other links are: as above, and what a ".." leads
 * out of again is a directory of the package. */
bool pack_link_inside(const struct pack_index *index, const char *path, const char *target);

/* Longest target of a symlink, bytes. */
#define PACK_LINK_MAX 4095

#endif
