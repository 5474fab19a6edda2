/*
 * object_rig.h - objects (vhd/object.h) whose blobs a range server has, one set for a
 * test program. Blobs have the content of range_byte().
 */
#ifndef HPCPACK_TESTS_OBJECT_RIG_H
#define HPCPACK_TESTS_OBJECT_RIG_H

#include "tests/unit/range_server.h"
#include "tests/unit/reading.h"

#define KIB 1024u
#define MIB (1024u * KIB)
#define ALL UINT64_MAX

extern struct range_server server;
extern struct blob_client *client;
extern struct objects *objects;

/* deadline_ms: of each request; 0: the usual one. */
void rig_begin(const struct objects_options *o, unsigned deadline_ms);
void rig_end(void);

struct object *rig_open(const struct range_blob *b, uint32_t version);

/* Read and wait; if it works, the content must be that of the version. */
enum err_code rig_read(struct object *o, uint32_t version, uint64_t offset, uint32_t len);
/* It must work. */
void rig_reads(struct object *o, uint32_t version, uint64_t offset, uint32_t len);

/* Begin to read; wait for it, look at its content (of version 1), free it. */
struct reading *rig_start(struct object *o, uint64_t offset, uint32_t len);
enum err_code rig_finish(struct reading *r, uint64_t offset, uint32_t len);

/* The first byte that is not of this version; len: all are. */
uint64_t rig_compare(const uint8_t *data, uint32_t version, uint64_t offset, uint64_t len);

#endif
