/* sync_config.c - what the configuration says of a sync; see sync.h. */
#include <config.h>

#include <stdlib.h>

#include "pack/sync.h"

#define USUAL_ROOT HPCPACK_LOCALSTATEDIR "/lib/hpcpack/packages"

/* Nothing honest comes near these; a bomb does. */
#define MAX_UNPACKED (256ull << 30)
#define MAX_RATIO 200u
#define MAX_MEMBERS 1000000u

int sync_options_read(struct sync_options *o, const struct config *config, struct err *err)
{
	uint64_t keep, path;

	if (config_size(config, "packages", "keep_versions", 1, 0, 1000, &keep, err) < 0 ||
	    config_size(config, "packages", "max_path", 0, 0, 4095, &path, err) < 0 ||
	    config_size(config, "packages", "max_unpacked", MAX_UNPACKED, 1, UINT64_MAX,
			&o->limits.max_unpacked, err) < 0 ||
	    config_size(config, "packages", "max_ratio", MAX_RATIO, 1, 1032, &o->limits.max_ratio, err) < 0 ||
	    config_size(config, "packages", "max_members", MAX_MEMBERS, 1, 4000000, &o->limits.max_members,
			err) < 0)
		return -1;
	o->keep_versions = (unsigned)keep;
	o->max_path = (size_t)path;
	return 0;
}

const char *sync_root(const char *given, const struct config *config)
{
	const char *env = getenv("CCP_PACKAGE_ROOT");

	if (given)
		return given;
	return env && *env ? env : config_string(config, "packages", "root", USUAL_ROOT);
}
