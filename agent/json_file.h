/*
 * json_file.h - a JSON document in a file that only this agent's user has written.
 */
#ifndef HPCPACK_AGENT_JSON_FILE_H
#define HPCPACK_AGENT_JSON_FILE_H

#include <jansson.h>

#include "blob/base/err.h"

/* Write FOLDER/NAME, whole or not at all, through FOLDER/NAME.new; mode 0600. */
int json_file_write(const char *folder, const char *name, const json_t *obj, struct err *err);

/*
 * Read it: a new reference, or NULL. ERR_NOT_FOUND: there is none; ERR_PERMISSION:
 * somebody else may have written it (the folder may be a user's); ERR_FORMAT: it is
 * no JSON, or of more than `max` bytes.
 */
json_t *json_file_read(const char *path, size_t max, struct err *err);

#endif
