/* The names of a container as a tree. */
#include <config.h>

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/listing.h"

static unsigned released;

static void release(void *item)
{
	released++;
}

static char items[64];

static struct listing *make(const char *const *names, size_t count)
{
	void *all[64];
	struct listing *l;

	for (size_t i = 0; i < count; i++)
		all[i] = &items[i];
	released = 0;
	l = listing_new(names, all, count, release);
	assert_non_null(l);
	return l;
}

static void done(struct listing *l, size_t count)
{
	listing_unref(l);
	assert_int_equal(released, count);
}

/* All paths, in order, with a '/' behind those of directories. */
static void expect(const char *const *names, size_t count, const char *wanted)
{
	struct listing *l = make(names, count);
	char text[4096] = "";

	for (uint32_t i = 1; i < l->count; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s%s", *text ? " " : "",
			 l->nodes[i].path, l->nodes[i].item ? "" : "/");
	assert_string_equal(text, wanted);
	done(l, count);
}

#define EXPECT(wanted, ...) \
	expect((const char *const[]) { __VA_ARGS__ }, \
	       sizeof((const char *const[]) { __VA_ARGS__ }) / sizeof(char *), wanted)

static void directories(void **state)
{
	EXPECT("a.txt b/ b/c/ b/c/d b/e f", "f", "b/e", "a.txt", "b/c/d");
	EXPECT("a/ a/b a-b a.b", "a.b", "a-b", "a/b");
	expect(NULL, 0, "");
}

static void conflicts(void **state)
{
	EXPECT("a/ a/b a~blob", "a", "a/b");
	EXPECT("a/ a/b a~blob a~blob~2", "a", "a/b", "a~blob");
	EXPECT("a/ a/b/ a/b/c a/b~blob a~blob", "a", "a/b", "a/b/c");
	EXPECT("%2E %2E~2", ".", "%2E");
	EXPECT("a a~2 a~3", "a", "a", "a");
}

/* What no file can be named leads nowhere. */
static void impossible(void **state)
{
	EXPECT("%2E%2E/ %2E%2E/%2E%2E/ %2E%2E/%2E%2E/etc", "../../etc");
	EXPECT("%2E/ %2E/a", "./a");
	EXPECT("a/ a/%2F/ a/%2F/b", "a//b");
	EXPECT("a/ a/%2F", "a/");
	EXPECT("%2F/ %2F/etc", "/etc");
	EXPECT("a%0Ab", "a\nb");
	EXPECT("%FFa", "\xff" "a");
	EXPECT("...", "...");
}

static void long_names(void **state)
{
	char a[600], b[600];
	const char *names[] = { a, b };
	struct listing *l;

	memset(a, 'x', sizeof(a) - 1);
	a[sizeof(a) - 1] = '\0';
	memcpy(b, a, sizeof(b));
	b[500] = 'y';
	for (size_t i = 0; i + 1 < sizeof(b) - 1; i += 2)
		memcpy(b + i, "\xc3\xbc", 2);
	b[sizeof(b) - 1] = '\0';
	b[sizeof(b) - 2] = 'z';
	l = make(names, 2);
	assert_int_equal(l->count, 3);
	for (uint32_t i = 1; i < 3; i++) {
		assert_true(strlen(l->nodes[i].name) <= 255);
		assert_non_null(strchr(l->nodes[i].name, '~'));
	}
	done(l, 2);
}

static void lookups(void **state)
{
	static const char *const names[] = { "b/c", "b/d/e", "a", "b/dd" };
	struct listing *l = make(names, 4);
	ssize_t b = listing_child(l, 0, "b"), d = listing_child(l, (uint32_t)b, "d");

	assert_true(b > 0 && d > 0);
	assert_ptr_equal(l->nodes[listing_child(l, 0, "a")].item, &items[2]);
	assert_ptr_equal(l->nodes[listing_child(l, (uint32_t)d, "e")].item, &items[1]);
	assert_int_equal(listing_child(l, 0, "c"), -1);
	assert_int_equal(listing_child(l, 0, "b/c"), -1);
	assert_int_equal(listing_child(l, 0, ""), -1);
	assert_int_equal(listing_child(l, (uint32_t)listing_child(l, 0, "a"), "x"), -1);
	assert_int_equal(l->nodes[0].end, l->count);
	assert_int_equal(l->nodes[b].end, l->count);
	assert_int_equal(l->nodes[d].parent, b);
	assert_int_equal(l->nodes[0].id, 1);
	assert_int_equal(listing_dir(l, l->nodes[d].id), d);
	assert_int_equal(listing_dir(l, 1), 0);
	assert_int_equal(listing_dir(l, 12345), -1);
	done(l, 4);
}

/* A directory has the same number in the next listing. */
static void stable(void **state)
{
	static const char *const before[] = { "b/c", "x/y" }, *const after[] = { "a/a", "b/d", "x/y/z" };
	struct listing *l = make(before, 2);
	uint32_t id = l->nodes[listing_find(l, "b")].id;

	done(l, 2);
	l = make(after, 3);
	assert_int_equal(l->nodes[listing_find(l, "b")].id, id);
	listing_ref(l);
	listing_unref(l);
	assert_int_equal(released, 0);
	done(l, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(directories), cmocka_unit_test(conflicts), cmocka_unit_test(impossible),
		cmocka_unit_test(long_names), cmocka_unit_test(lookups), cmocka_unit_test(stable),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
