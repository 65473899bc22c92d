use rkllmjs_core::{Engine, Error, ModelHandle, Token};

use crate::model::closed;

/// Inputs of one call to the engine: other answers get their steps in between.
const GROUP: usize = 16;

/// What the engine does with a group.
type Compute<T> = fn(&mut dyn Engine, &[Vec<Token>]) -> Result<Vec<T>, Error>;

/// Takes what came of all inputs.
pub(crate) type GroupsDone<T> = Box<dyn FnOnce(Result<Vec<T>, Error>) + Send>;

/// Has the engine compute group after group, each as a call of its own.
pub(crate) fn compute_groups<T: Send + 'static>(
    handle: &ModelHandle,
    mut rest: Vec<Vec<Token>>,
    mut results: Vec<T>,
    compute: Compute<T>,
    done: GroupsDone<T>,
) {
    if rest.is_empty() {
        return done(Ok(results));
    }
    let later = rest.split_off(rest.len().min(GROUP));
    let next = handle.clone();
    handle.call(move |engine| match engine.and_then(|engine| compute(engine, &rest)) {
        Ok(group) => {
            results.extend(group);
            compute_groups(&next, later, results, compute, done);
        }
        // A step stopped by closing looks like a failure from inside.
        Err(_) if next.is_closed() => done(Err(closed())),
        Err(error) => done(Err(error)),
    });
}
