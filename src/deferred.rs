use napi::bindgen_prelude::{Object, ToNapiValue};
use napi::{Env, JsDeferred};

/// Settles a promise from any thread.
type Resolver<T> = Box<dyn FnOnce(Env) -> napi::Result<T> + Send>;

/// A promise's other end.
pub(crate) struct Deferred<T: ToNapiValue + 'static>(JsDeferred<T, Resolver<T>>);

/// A promise and what settles it, from any thread.
pub(crate) fn promise<T: ToNapiValue + Send + 'static>(env: &Env) -> napi::Result<(Deferred<T>, Object<'_>)> {
    let (deferred, promise) = env.create_deferred::<T, Resolver<T>>()?;
    Ok((Deferred(deferred), promise))
}

impl<T: ToNapiValue + Send + 'static> Deferred<T> {
    pub(crate) fn resolve(self, value: T) {
        self.0.resolve(Box::new(move |_| Ok(value)));
    }
}
