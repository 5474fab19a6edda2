/*
 * unpack_rig.h - a package of generated members that a range server has, and fs/unpack.h
 * over it: one set for a test program.
 *
 * First rig_add() for each member, then rig_serve(), rig_open(). Members are known by
 * their number, the order of rig_add(). What is read is compared with what was packed.
 */
#ifndef HPCPACK_TESTS_UNPACK_RIG_H
#define HPCPACK_TESTS_UNPACK_RIG_H

#include <stdatomic.h>

#include "fs/unpack.h"
#include "tests/unit/range_server.h"
#include "tests/unit/reading.h"
#include "tests/unit/zip_image.h"

#define KIB 1024u
#define MIB (1024u * KIB)
#define ALL UINT64_MAX
#define RIG_MEMBERS 64

enum rig_kind {
	RIG_NOISE,                 /* packs to three quarters */
	RIG_TEXT,                  /* packs to a hundredth */
	RIG_STORED,                /* noise, not deflated */
};

struct rig {
	struct zip_image zip;
	struct range_server server;
	struct range_blob *blob;
	struct blob_client *client;
	struct objects *objects;
	struct object *object;
	struct pack_index index;
	struct unpack *unpack;
	unsigned count;
	uint32_t entries[RIG_MEMBERS];
	enum rig_kind kinds[RIG_MEMBERS];
	atomic_uint damaged[RIG_MEMBERS]; /* calls of unpack_options.damaged */
	int log;                   /* where stderr goes meanwhile */
	int stderr_before;
};
extern struct rig rig;

/* Deflated, or stored. `lie` may be NULL: claims of the directory, and flags. */
void rig_add(enum rig_kind kind, size_t size, const struct zip_spec *lie);
/* End the zip, read its index. Its bytes may be damaged after this. */
void rig_serve(void);
/* Client, object and unpack; deadline_ms of each request, 0: the usual one. */
void rig_open(struct unpack_options o, unsigned deadline_ms);
/* End all; nobody holds or waits for anything. */
void rig_close(void);

const struct pack_entry *rig_entry(unsigned member);
uint8_t rig_byte(unsigned member, uint64_t offset);
/* Flip a bit of its packed data, `at` bytes from the beginning. */
void rig_damage(unsigned member, uint64_t at);
/* The range of the blob where its packed data from `at` on lies. */
uint64_t rig_place(unsigned member, uint64_t at);

/* Read; wait. If it works the content must be right. */
enum err_code rig_read(unsigned member, uint64_t offset, uint32_t len);
/* It must work. */
void rig_reads(unsigned member, uint64_t offset, uint32_t len);
/* All of it, in reads of this size, forwards. */
void rig_reads_all(unsigned member, uint32_t step);

/* Begin to read; `stay`: the callback is kept. Wait for it, compare, free it. */
struct reading *rig_start(unsigned member, uint64_t offset, uint32_t len, bool stay);
enum err_code rig_finish(struct reading *r, unsigned member, uint64_t offset);
/* The first byte that is wrong; len: none. */
uint64_t rig_compare(const uint8_t *data, unsigned member, uint64_t offset, uint64_t len);

/* A read from a thread of its own, with a callback that stays until rig_let_go(): it
 * has what is there in its hands. */
struct rig_grip {
	struct reading reading;
	unsigned member;
	uint64_t offset;
	uint32_t len;
	pthread_t thread;
};
void rig_grip(struct rig_grip *g, unsigned member, uint64_t offset, uint32_t len);
/* It must have been right until now. */
void rig_let_go(struct rig_grip *g);

/* Readers at random, a thread each: of members [first, first + members), so many reads
 * of at most so many bytes. */
struct rig_reader {
	uint64_t state;            /* seed; not 0 */
	unsigned first, members, reads;
	uint32_t most;
	unsigned good, wrong;      /* reads that worked; of them, with other content */
	unsigned codes;            /* 1 << enum err_code of those that did not */
	pthread_t thread;
};
void rig_readers_start(struct rig_reader *all, unsigned count);
/* All right but for errors of these codes (1 << enum err_code). */
void rig_readers_join(struct rig_reader *all, unsigned count, unsigned codes);

struct unpack_stats rig_stats(void);
/* Lines of the log, since rig_open(), that hold this text. */
unsigned rig_logged(const char *text);

#endif
