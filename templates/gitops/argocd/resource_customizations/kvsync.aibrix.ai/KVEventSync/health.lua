-- Health of a KVEventSync, the first that holds:
--   it is being deleted                      Progressing
--   spec.paused, or an annotation, holds it  Suspended
--   the operator has not seen this spec yet  Progressing
--   Stalled: a person must act               Degraded
--   Ready                                    Healthy
--   anything else                            Progressing
-- The status is in kstatus format. A model without traffic is no trouble of the operator's: it is never Degraded.

local function condition(kind)
  if obj.status ~= nil and obj.status.conditions ~= nil then
    for _, each in ipairs(obj.status.conditions) do
      if each.type == kind then
        return each
      end
    end
  end
  return {}
end

local function is_true(value)
  return value == true or value == "true" or value == "True" or value == "TRUE"
end

local function held_by()
  if obj.spec ~= nil and is_true(obj.spec.paused) then
    return "spec.paused"
  end
  local annotations = obj.metadata.annotations or {}
  for _, key in ipairs({"kvsync.aibrix.ai/paused", "kvsync.aibrix.ai/plan-only"}) do
    if is_true(annotations[key]) then
      return "the annotation " .. key
    end
  end
  return nil
end

local function is_current()
  return obj.status ~= nil and obj.status.observedGeneration ~= nil
    and obj.status.observedGeneration == obj.metadata.generation
end

local ready = condition("Ready")
local stalled = condition("Stalled")
local hs = {}

if obj.metadata.deletionTimestamp ~= nil then
  hs.status = "Progressing"
  hs.message = "Being deleted"
  if ready.reason == "Undoing" then
    hs.message = ready.message
  end
  return hs
end

local holder = held_by()
if holder ~= nil then
  hs.status = "Suspended"
  hs.message = "Held by " .. holder .. ": nothing is changed"
  if is_current() and ready.reason == "Paused" then
    hs.message = ready.message
  end
  return hs
end

if not is_current() then
  hs.status = "Progressing"
  hs.message = "Waiting for kvsync-operator to look at this object"
  return hs
end

if stalled.status == "True" then
  hs.status = "Degraded"
  hs.message = stalled.message
  return hs
end

hs.status = "Progressing"
if ready.status == "True" then
  hs.status = "Healthy"
end
hs.message = ready.message or "Waiting for kvsync-operator to report"
return hs
