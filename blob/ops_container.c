/* Containers. */
#include <config.h>

#include "blob/op.h"
#include "blob/ops.h"

/* The error that says "it is so already", after an earlier attempt that may be
 * why. */
struct own_work {
	enum err_code code;
	bool done;
};

static void look(void *arg, const struct blob_reply *reply)
{
	struct own_work *own = arg;

	own->done = reply->err.code == own->code && blob_reply_doubt(reply);
}

static int perform(struct blob_op *op, enum err_code own_code, struct err *err)
{
	struct own_work own = { .code = own_code };
	struct err e;

	blob_op_query(op, "restype", "container");
	if (blob_op_perform(op, look, &own, &e) == 0 || own.done)
		return 0;
	if (err)
		*err = e;
	return -1;
}

int blob_container_create(struct blob_client *c, const char *container, struct err *err)
{
	struct blob_ref ref = { .container = container };

	if (blob_check_container_name(container, err) < 0)
		return -1;
	return perform(blob_op_new(c, "PUT", &ref, 0), ERR_EXISTS, err);
}

int blob_container_delete(struct blob_client *c, const char *container, struct err *err)
{
	struct blob_ref ref = { .container = container };

	return perform(blob_op_new(c, "DELETE", &ref, 0), ERR_NOT_FOUND, err);
}
