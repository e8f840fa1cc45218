-- pause and resume set and remove an annotation, so that nothing of Git's spec differs. What spec.paused holds is
-- Git's to let go. retry is for what the operator gave up: it tries that again when the annotation gets a new value.

local function is_true(value)
  return value == true or value == "true" or value == "True" or value == "TRUE"
end

local annotations = obj.metadata.annotations or {}
local by_annotation = is_true(annotations["kvsync.aibrix.ai/paused"])
  or is_true(annotations["kvsync.aibrix.ai/plan-only"])
local held = by_annotation or (obj.spec ~= nil and is_true(obj.spec.paused))
local leaving = obj.metadata.deletionTimestamp ~= nil

local stalled = false
if obj.status ~= nil and obj.status.conditions ~= nil then
  for _, condition in ipairs(obj.status.conditions) do
    if condition.type == "Stalled" and condition.status == "True" then
      stalled = true
    end
  end
end

local actions = {}
actions["pause"] = {
  ["disabled"] = held or leaving,
  ["iconClass"] = "fa fa-fw fa-pause-circle"
}
actions["resume"] = {
  ["disabled"] = leaving or not by_annotation,
  ["iconClass"] = "fa fa-fw fa-play-circle"
}
actions["retry"] = {
  ["disabled"] = held or leaving or not stalled,
  ["iconClass"] = "fa fa-fw fa-redo"
}
return actions
