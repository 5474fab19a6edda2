#include <config.h>

#include "pack/sync_record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blob/base/buf.h"
#include "blob/base/cleanup.h"
#include "blob/base/log.h"

/* A path, a blob's name, and little else. */
#define RECORD_MAX 16384

static void record_free(struct sync_record *record)
{
	if (!record)
		return;
	free(record->target);
	free(record->account);
	free(record->container);
	free(record->blob);
	free(record);
}

void sync_records_free(struct sync_records *r)
{
	for (size_t i = 0; i < r->count; i++)
		record_free(r->items[i]);
	free(r->items);
	memset(r, 0, sizeof(*r));
}

static int append(struct sync_records *r, struct sync_record *record)
{
	if (r->count == r->size) {
		size_t size = r->size ? r->size * 2 : 16;
		struct sync_record **more = realloc(r->items, size * sizeof(*more));

		if (!more)
			return -1;
		r->items = more;
		r->size = size;
	}
	r->items[r->count++] = record;
	if (record->number >= r->next_number)
		r->next_number = record->number + 1;
	return 0;
}

/* --- reading --- */

static int take_string(char **to, const char *value)
{
	free(*to);
	*to = strdup(value);
	return *to ? 0 : -1;
}

static int take(struct sync_record *r, const char *key, const char *value)
{
	if (!strcmp(key, "target"))
		return take_string(&r->target, value);
	if (!strcmp(key, "account"))
		return take_string(&r->account, value);
	if (!strcmp(key, "container"))
		return take_string(&r->container, value);
	if (!strcmp(key, "blob"))
		return take_string(&r->blob, value);
	if (!strcmp(key, "etag"))
		snprintf(r->etag, sizeof(r->etag), "%s", value);
	else if (!strcmp(key, "time"))
		snprintf(r->time, sizeof(r->time), "%s", value);
	else if (!strcmp(key, "state"))
		r->pending = strcmp(value, "installed") != 0;
	else if (!strcmp(key, "bytes"))
		r->bytes = strtoull(value, NULL, 10);
	else if (!strcmp(key, "files"))
		r->files = (uint32_t)strtoul(value, NULL, 10);
	return 0;
}

static struct sync_record *parse(char *text)
{
	struct sync_record *r = calloc(1, sizeof(*r));
	char *line, *rest = text;

	if (!r)
		return NULL;
	r->pending = true;
	while ((line = strsep(&rest, "\n"))) {
		char *value = strchr(line, ' ');

		if (!value)
			continue;
		*value++ = '\0';
		if (take(r, line, value) < 0)
			break;
	}
	if (r->target && r->account && r->container && r->blob)
		return r;
	record_free(r);
	return NULL;
}

static struct sync_record *read_record(int dir, const char *name)
{
	cleanup_close int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char text[RECORD_MAX];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	struct sync_record *r;

	if (n < 0)
		return NULL;
	text[n] = '\0';
	r = parse(text);
	if (r)
		r->number = (unsigned)strtoul(name, NULL, 10);
	return r;
}

int sync_records_load(struct sync_records *out, int dir, struct err *err)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *item;
	int rc = 0;

	memset(out, 0, sizeof(*out));
	if (!d) {
		err_set_errno(err, errno, "can't read the records of what is installed");
		if (fd >= 0)
			close(fd);
		return -1;
	}
	while (rc == 0 && (item = readdir(d))) {
		struct sync_record *r;

		if (*item->d_name == '.') {
			/* "." and "..", or half a record of one that was killed. */
			unlinkat(dir, item->d_name, 0);
			continue;
		}
		r = read_record(dir, item->d_name);
		if (!r) {
			log_warn("the record %s of what is installed makes no sense and is left out",
				 item->d_name);
			unlinkat(dir, item->d_name, 0);
		} else if (append(out, r) < 0) {
			record_free(r);
			rc = err_set(err, ERR_NO_MEMORY, "out of memory");
		}
	}
	closedir(d);
	if (rc < 0)
		sync_records_free(out);
	return rc;
}

/* --- finding and changing --- */

struct sync_record *sync_records_find(const struct sync_records *r, const char *target)
{
	for (size_t i = 0; i < r->count; i++)
		if (!strcmp(r->items[i]->target, target))
			return r->items[i];
	return NULL;
}

struct sync_record *sync_records_add(struct sync_records *r, const char *target)
{
	struct sync_record *record = calloc(1, sizeof(*record));

	if (!record)
		return NULL;
	record->number = r->next_number;
	record->pending = true;
	record->target = strdup(target);
	if (!record->target || append(r, record) < 0) {
		record_free(record);
		return NULL;
	}
	return record;
}

int sync_record_set_source(struct sync_record *record, const char *account, const char *container,
			   const char *blob)
{
	char *copies[3] = { strdup(account), strdup(container), strdup(blob) };
	char **places[3] = { &record->account, &record->container, &record->blob };

	if (!copies[0] || !copies[1] || !copies[2]) {
		for (int i = 0; i < 3; i++)
			free(copies[i]);
		return -1;
	}
	for (int i = 0; i < 3; i++) {
		free(*places[i]);
		*places[i] = copies[i];
	}
	return 0;
}

bool sync_record_is_of(const struct sync_record *record, const char *account, const char *container,
		       const char *blob)
{
	return record->blob && !strcmp(record->blob, blob) && !strcmp(record->container, container) &&
	       !strcmp(record->account, account);
}

/* --- writing --- */

struct record_names {
	char place[16], temp[20];
};

static struct record_names names_of(const struct sync_record *record)
{
	struct record_names n;

	snprintf(n.place, sizeof(n.place), "%u", record->number);
	snprintf(n.temp, sizeof(n.temp), ".%u", record->number);
	return n;
}

static int write_text(int dir, const char *name, const struct buf *text)
{
	cleanup_close int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = write(fd, buf_str(text), text->len);
	if (n >= 0 && (size_t)n != text->len)
		errno = ENOSPC;
	return n == (ssize_t)text->len ? 0 : -1;
}

static int cant_write(int dir, const char *temp, struct err *err)
{
	int why = errno;

	unlinkat(dir, temp, 0);
	return err_set_errno(err, why, "can't write down what is installed");
}

int sync_record_prepare(const struct sync_record *record, int dir, struct err *err)
{
	cleanup_buf struct buf text = BUF_INIT(RECORD_MAX - 1);
	struct record_names names = names_of(record);

	buf_addf(&text, "state %s\ntarget %s\naccount %s\ncontainer %s\nblob %s\netag %s\ntime %s\n",
		 record->pending ? "pending" : "installed", record->target, record->account,
		 record->container, record->blob, record->etag, record->time);
	buf_addf(&text, "bytes %llu\nfiles %u\n", (unsigned long long)record->bytes, record->files);
	if (text.failed)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	return write_text(dir, names.temp, &text) < 0 ? cant_write(dir, names.temp, err) : 0;
}

int sync_record_commit(const struct sync_record *record, int dir, struct err *err)
{
	struct record_names names = names_of(record);

	return renameat(dir, names.temp, dir, names.place) < 0 ? cant_write(dir, names.temp, err) : 0;
}

void sync_records_drop(struct sync_records *r, struct sync_record *record, int dir)
{
	struct record_names names = names_of(record);

	unlinkat(dir, names.place, 0);
	unlinkat(dir, names.temp, 0);
	for (size_t i = 0; i < r->count; i++)
		if (r->items[i] == record) {
			r->items[i] = r->items[--r->count];
			break;
		}
	record_free(record);
}
