// ggml asks those who registered a type of buffer before it computes an operation itself; that is how AMX comes in.
#include "operations.h"

namespace {

class Operations : public ggml::cpu::extra_buffer_type {
  public:
    // No tensor lives in a buffer of this type.
    bool supports_op(ggml_backend_dev_t, const ggml_tensor *) override { return false; }

    ggml::cpu::tensor_traits * get_tensor_traits(const ggml_tensor * op) override {
        switch (op->op) {
            case GGML_OP_FLASH_ATTN_EXT:
                return attention_for(op);
            case GGML_OP_MUL_MAT:
                return product_for(op);
            default:
                return nullptr;
        }
    }
};

}  // namespace

void register_operations(void) {
    // None that a weight could lie in.
    static ggml_backend_buffer_type type{};
    type.context = new Operations();
    ggml_backend_cpu_get_extra_buffer_types().push_back(&type);
}
