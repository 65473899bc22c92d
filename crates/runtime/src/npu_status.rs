use rkllmjs_rkllm::npu::{self, Driver, NpuStatus, Reading};
use serde_json::{Value, json};

/// What the system tells about the NPU: each value, or `null` and the reason why there is none. Needs no
/// privileges, wakes nothing, changes nothing. Blocks for as long as reading a dozen small files takes.
pub fn npu_status() -> Value {
    describe(&npu::npu_status())
}

pub(crate) fn describe(status: &NpuStatus) -> Value {
    let driver = status.driver.value.map(|driver| match driver {
        Driver::Rknpu => "rknpu",
        Driver::Rocket => "rocket",
    });
    json!({
        "driver": { "value": driver, "reason": status.driver.reason },
        "driverVersion": reading(&status.driver_version),
        "usable": { "value": status.usable.value.is_some(), "reason": status.usable.reason },
        "loadPercent": reading(&status.load_percent),
        "powered": reading(&status.powered),
        "frequencyHz": reading(&status.frequency_hz),
        "frequencyMaxHz": reading(&status.frequency_max_hz),
        "governor": reading(&status.governor),
        "temperatureCelsius": reading(&status.temperature_celsius),
        "memoryFrequencyHz": reading(&status.memory_frequency_hz),
        "memoryGovernor": reading(&status.memory_governor),
        "memoryLoadPercent": reading(&status.memory_load_percent),
    })
}

pub(crate) fn reading<T>(reading: &Reading<T>) -> Value
where
    Value: From<T>,
    T: Clone,
{
    json!({ "value": reading.value.clone().map_or(Value::Null, Value::from), "reason": reading.reason })
}
