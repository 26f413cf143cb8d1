"""What the module's panel is made of, one idea a file; none of them loads torch.

Reading order:
    scene, segments, provenance, terminology    volume to image, mask to named and coded segment, where it came from
    overlay, legend, sliceViews                 a soft map above the slice views, its color legend, views that go to it
    regionOfInterest, samples                   a part of the image to stay in; synthetic films that come along
    inferenceRecords, inferenceClient           what the inference process tells, and how it is asked; with
                                                inferenceSettings, inferenceRequest, inferenceEvents, inferenceProcess,
                                                processKeeper, processTree, privateFolder, silenceWatch
    warmClient, ticker                          the one process of the application, polled by a timer
    results, undo                               results put into the scene; a new threshold; back and forth
    islands                                     the part of a segment that is pointed at, kept alone or removed
    segmentationRun, runner                     one request from start to end; what the module's logic is made of
    parameters, phrases, answers                state kept in the scene; what is typed; sentences for people
    requirements, installPlan, installer        what is missing, what installs it, how that is carried out; with
                                                installProcess, installChild, torchChild, installTrouble
    terms, diagnostics, redaction               license of the weights; what a bug report needs, without patient data
    worklist, worklistFile, worklistSources     the annotators' list: cases and decisions, their state on disk, where
                                                lists come from; with worklistLabels, the fixed label map
    worklistSession, worklistScene              a list at work, and what a case is in the scene; with worklistMasks
    worklistExport, worklistExportRun           accepted cases as training data; with worklistFolder
    worklistView, worklistHost, worklistTexts,
    worklistLabelView, worklistExportView       the list in the panel
    segmentEditorHandover                       to the Segment Editor and back
    effectRegistration, segmentEditorEffect,
    effectControls, editedSegment               the Segment Editor's effect: a phrase changes the segment edited there
    machineSettings                             model and device that were chosen last on this computer
    phraseLine, phraseEntry, runView,
    segmentControls, correctionControls,
    overlayControls, regionControls,
    memoryControls, exampleControls,
    modelControls, setupPage,
    setupTexts, diagnosticsControls, panel      the parts of the interface, and how they are wired

Only `ticker`, `terms` and what is listed from `worklistView` on need Qt; the rest works in scripts, without a window.
"""
