"""What the module's panel is made of, one idea a file; none of them loads torch.

Reading order:
    scene, segments, provenance, terminology    volume to image, mask to named and coded segment, where it came from
    overlay                                     the pseudo-image above the slice views
    inferenceRecords, inferenceClient           what the inference process tells, and how it is asked; with
                                                inferenceSettings, inferenceRequest, inferenceEvents, inferenceProcess,
                                                processKeeper, privateFolder, silenceWatch
    warmClient, ticker                          the one process of the application, polled by a timer
    results, undo                               results put into the scene; a new threshold; back and forth
    segmentationRun, runner                     one request from start to end; what the module's logic is made of
    parameters, phrases, answers                state kept in the scene; what is typed; sentences for people
    phraseEntry, runView, segmentControls,
    overlayControls, modelControls, panel       the parts of the interface, and how they are wired

Only `ticker` and the last two lines need Qt; the rest works in scripts and without a window.
"""
